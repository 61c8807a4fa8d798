#!/usr/bin/env bash
# Applies the seeded regressions in scripts/regressions one at a time, each of which makes an update more expensive, and checks
# that `harness gate` finds and names each of them. Fails if it misses one. Works in a copy of the last commit, so the tree stays
# as it is. Takes about two minutes for each.
#   scripts/regressions.sh [PART-OF-A-NAME...]
set -euo pipefail
cd "$(dirname "$0")/.."
# In a hook, git's variables name the repository and the index of the commit that is being made.
# shellcheck disable=SC2046 # Each is a word.
unset $(git rev-parse --local-env-vars)
root=$PWD
work=$root/target/regressions
# Outside the tree: cargo would add the tree's .cargo/config.toml to the copy's own.
outside=$(mktemp -d)
copy=$outside/tree
export CARGO_TARGET_DIR=$work/build

# The patch, the arguments for the gate, and a pattern that a row of its table must match.
regressions=(
    "1-ack-one-byte-longer|--exact|regression .* dcgka/update/128 .* bytes_sent/ack .* \+1 B in each of 127 messages of kind .ack."
    "2-one-more-key-agreement|--exact|regression .* dcgka/update/128 .* op.dh/recipient .* \+127 in phase process"
    "3-one-more-hash-per-ack|--exact|regression .* dcgka/update/128 .* op.hash_blocks/recipient .* in phase responses"
    "4-more-instructions-per-ack||regression .* dcgka/update/128 .* instructions/recipient .* no primitive"
    "5-slower|--exact --against HEAD --time-gates|regression .* dcgka/update/128 .* cpu_ns/recipient .* no primitive"
)

remove_copy() {
    cd "$root"
    rm -rf "$outside"
    git worktree prune
}
trap remove_copy EXIT
trap 'exit 130' INT TERM
# One at a time: both would change the same files.
mkdir -p "$work"
exec 9>"$work/.lock"
if command -v flock >/dev/null && ! flock -n 9; then
    echo "another run is at work in $work; try again when it has ended" >&2
    exit 1
fi
git worktree add --quiet --detach "$copy" HEAD
cd "$copy"
# One backend is enough.
sed 's/^backends = .*/backends = ["dcgka"]/' gate.toml >"$work/gate.toml"

missed=0
for regression in "${regressions[@]}"; do
    IFS='|' read -r name arguments row <<<"$regression"
    chosen=$([ $# -eq 0 ] && echo yes || true)
    for part in "$@"; do
        if [[ $name == *"$part"* ]]; then chosen=yes; fi
    done
    [ -n "$chosen" ] || continue
    git apply "$root/scripts/regressions/$name.patch"
    code=0
    # shellcheck disable=SC2086 # $arguments holds several words.
    cargo run --quiet --release --locked -p harness -- gate --config "$work/gate.toml" $arguments \
        >"$work/report" 2>"$work/complaints" || code=$?
    git apply --reverse "$root/scripts/regressions/$name.patch"
    if [ $code -eq 3 ] && grep -E -m 1 "$row" "$work/report" | tr -s ' '; then
        echo "found: $name"
    else
        echo "MISSED: $name (exit code $code)"
        cat "$work/report" "$work/complaints"
        missed=$((missed + 1))
    fi
done
exit $((missed > 0))
