#!/usr/bin/env bash
# Runs each fuzz target for SECONDS seconds. Fails on a finding, whose input is then in fuzz/artifacts.
# Needs cargo-fuzz (cargo install cargo-fuzz --locked) and a C++ compiler.
#   scripts/fuzz.sh SECONDS [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(cargo fuzz list)
fi

# A stable compiler instruments too, if told that it may.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
    # What is found goes to the first directory; the second is what is committed.
    found=target/corpus/$target
    mkdir -p "$found" "corpus/$target"
    # No crate of ours has unsafe code, and the address sanitizer costs nine tenths of the speed: `-s address` works too.
    cargo fuzz run -O -s none "$target" "$found" "corpus/$target" -- \
        -max_total_time="$seconds" -max_len=512 -len_control=0 -timeout=20 \
        -rss_limit_mb=1024 -malloc_limit_mb=64 -print_final_stats=1
done
