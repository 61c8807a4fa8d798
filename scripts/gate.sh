#!/usr/bin/env bash
# The regression gate, for any CI: builds the harness, compares its costs with results/baseline.json, and leaves gate.md (for a
# comment) and gate.json in target/gate/report. Exit code 0: nothing is dearer; 3: something is. Arguments go to `harness gate`:
#   scripts/gate.sh [--against origin/main]
# Instructions are compared where valgrind is installed, and compiler and processor are those of the baseline.
set -euo pipefail
cd "$(dirname "$0")/.."

report=target/gate/report
rm -rf "$report"
code=0
cargo run --release --locked -p harness -- gate --out "$report" "$@" || code=$?
if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$report/gate.md" ]; then
    cat "$report/gate.md" >>"$GITHUB_STEP_SUMMARY"
fi
exit $code
