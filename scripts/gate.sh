#!/usr/bin/env bash
# The regression gate, for any CI: builds the harness, compares its costs with results/baseline.json, and writes gate.md (for a
# comment) and gate.json to target/gate/report. Exit code 0: no cost has grown; 3: at least one has. Arguments go to
# `harness gate`:
#   scripts/gate.sh [--against origin/main]
# Instructions are compared only where valgrind is installed, and where valgrind, the compiler, the flags, the C library and the processor
# are those of the baseline.
set -euo pipefail
cd "$(dirname "$0")/.."

report=target/gate/report
# A build that fails ends here, before an earlier report could be taken for its own.
cargo build --release --locked -p harness
code=0
cargo run --release --locked -p harness -- gate --out "$report" "$@" || code=$?
if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$report/gate.md" ]; then
    cat "$report/gate.md" >>"$GITHUB_STEP_SUMMARY"
fi
exit $code
