#!/usr/bin/env bash
# Follows CONTRIBUTING.md: copies examples/template out of the workspace, builds the copy as a crate of its own, and lists, measures,
# compares and guards its backend. Fails if a step fails. Writes nothing into the repository.
#   scripts/template.sh [NEW-DIRECTORY]
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)

if [ $# -gt 0 ]; then
    copy=$1
else
    outside=$(mktemp -d)
    trap 'rm -rf "$outside"' EXIT
    copy=$outside/template
fi
if [ -e "$copy" ]; then
    echo "$copy exists already; try a directory that does not" >&2
    exit 2
fi

mkdir -p "$(dirname "$copy")"
cp -r "$repository/examples/template" "$copy"
# The same versions of dependencies. Cargo removes what the copy does not need.
cp "$repository/Cargo.lock" "$copy"
cd "$copy"
rm -rf target results
sed -i.bak "s|path = \"../..|path = \"$repository|" Cargo.toml
rm Cargo.toml.bak

# A setting of the caller would take the build back into the repository.
export CARGO_TARGET_DIR=$PWD/target
cargo build --quiet --release --offline 2>/dev/null || cargo build --quiet --release
template() {
    echo "template $*"
    target/release/template "$@" >target/output 2>target/complaints || {
        echo "failed with exit code $?:"
        cat target/output target/complaints
        exit 1
    }
}
template list
for name in boxes dcgka; do
    grep -qx "$name" target/output || {
        echo "the list does not have $name:"
        cat target/output
        exit 1
    }
done
template measure --backend boxes --operation add --sizes 8 --iterations 1
template compare --backend boxes,dcgka --quick
template gate --update-baseline --reason "the first baseline"
template gate
head -n 1 target/output
