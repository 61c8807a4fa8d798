#!/usr/bin/env bash
# Makes an update dearer, by one patch of scripts/plants after the other, and shows that `harness gate` finds it and names
# it. Fails where it does not. Works in a copy of the last commit: the tree stays as it is. Some two minutes for each.
#   scripts/plants.sh [PART-OF-A-NAME...]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$root/target/plants
# Outside the tree, whose .cargo/config.toml would be added to its own.
outside=$(mktemp -d)
copy=$outside/tree
export CARGO_TARGET_DIR=$work/build

# Which patch, how the gate is asked, and what the row of its table must say.
plants=(
    "1-ack-one-byte-longer|--exact|dearer .* dcgka/update/128 .* bytes_sent/ack .* each of 127 .ack. by \+1 B"
    "2-one-more-key-agreement|--exact|dearer .* dcgka/update/128 .* op.dh/recipient .* \+127 in phase process"
    "3-one-more-hash-per-ack|--exact|dearer .* dcgka/update/128 .* op.hash_blocks/recipient .* in phase responses"
    "4-more-instructions-per-ack||dearer .* dcgka/update/128 .* instructions/recipient .* no counted operation"
    "5-slower|--exact --against HEAD --time-gates|dearer .* dcgka/update/128 .* cpu_ns/recipient .* no counted operation"
)

remove_copy() {
    cd "$root"
    rm -rf "$outside"
    git worktree prune
}
trap remove_copy EXIT
trap 'exit 130' INT TERM
mkdir -p "$work"
git worktree add --quiet --detach "$copy" HEAD
cd "$copy"
# One backend is enough.
sed 's/^backends = .*/backends = ["dcgka"]/' gate.toml >"$work/gate.toml"

missed=0
for plant in "${plants[@]}"; do
    IFS='|' read -r name arguments row <<<"$plant"
    chosen=$([ $# -eq 0 ] && echo yes || true)
    for part in "$@"; do
        if [[ $name == *"$part"* ]]; then chosen=yes; fi
    done
    [ -n "$chosen" ] || continue
    git apply "$root/scripts/plants/$name.patch"
    code=0
    # shellcheck disable=SC2086 # several words
    cargo run --quiet --release --locked -p harness -- gate --config "$work/gate.toml" $arguments \
        >"$work/report" 2>"$work/complaints" || code=$?
    git apply --reverse "$root/scripts/plants/$name.patch"
    if [ $code -eq 3 ] && grep -E -m 1 "$row" "$work/report" | tr -s ' '; then
        echo "found: $name"
    else
        echo "MISSED: $name (exit code $code)"
        cat "$work/report" "$work/complaints"
        missed=$((missed + 1))
    fi
done
exit $((missed > 0))
