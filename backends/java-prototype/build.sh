#!/usr/bin/env bash
# Compiles the prototype and its adapter. README.md says what must be in prototype/ and lib/.
set -euo pipefail
cd "$(dirname "$0")"
library=prototype/group_protocol_library/src/main/java
if [ ! -d "$library" ]; then
    echo "the sources of the prototype are not in prototype/: see README.md" >&2
    exit 1
fi
rm -rf classes generated
mkdir classes generated
thrift --gen java:private-members -out generated "$library/org/trvedata/sgm/message/messages.thrift"
find "$library" generated src -name '*.java' -print0 | xargs -0 javac -nowarn -cp 'lib/*' -d classes
