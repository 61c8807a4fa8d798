#!/usr/bin/env bash
# Makes leaks in a copy of this repository, one after the other, and shows what `harness security --quick` finds. Fails if a leak
# exposes nothing more. Takes about ten minutes.
#   scripts/leaks.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# A patch, and a backend that it concerns.
leaks=(
    "dcgka/mutants/14-member-secret-kept.patch dcgka"
    "dcgka/mutants/19-two-party-keys-kept-after-use.patch dcgka"
    "dcgka/mutants/43-message-key-kept.patch dcgka"
    "scripts/leaks/lean-ephemeral-kept.patch dcgka:lean"
    "scripts/leaks/sender-key-not-renewed.patch sender-keys:eager"
)

# In a hook, git names the repository of the hook.
unset $(git rev-parse --local-env-vars)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git clone -q . "$scratch/copy"
export CARGO_TARGET_DIR="$scratch/target"

# The rows of a backend that say what was exposed: situation or frequency of updates, and the number.
attack() {
    (cd "$scratch/copy" && cargo run -q -p harness -- security --quick --backend "$1" --out "$2" >/dev/null 2>&1) || true
    awk -F, 'FNR > 1 { print $2, $5 }' "$2/situations.csv"
    awk -F, 'FNR > 1 { print "update-every-" $3, $11 }' "$2/exposure.csv"
}

missed=0
for leak in "${leaks[@]}"; do
    read -r patch backend <<<"$leak"
    before="$scratch/${backend//:/-}"
    [ -f "$before.rows" ] || attack "$backend" "$before" >"$before.rows"
    git -C "$scratch/copy" apply "$PWD/$patch"
    attack "$backend" "$scratch/leak" >"$scratch/leak.rows"
    git -C "$scratch/copy" checkout -q .
    rm -rf "$scratch/leak"
    found=$(paste -d ' ' "$before.rows" "$scratch/leak.rows" | awk '$4 > $2 { printf "  %s: %s instead of %s\n", $1, $4, $2 }')
    if [ -n "$found" ]; then
        printf '%s, %s:\n%s\n' "$patch" "$backend" "$found"
    else
        printf '%s, %s: NOTHING MORE IS EXPOSED\n' "$patch" "$backend"
        missed=1
    fi
done
exit "$missed"
