#!/usr/bin/env bash
# Applies each mutant in dcgka/mutants and baselines/mutants to our own code, one after the other, and shows which test kills
# it. Fails if a mutant survives, or does not apply or compile. Works in a copy: the tree stays as it is.
#   scripts/mutants.sh [PART-OF-A-NAME...]
set -euo pipefail
cd "$(dirname "$0")/.."
# In a hook, git's variables name the repository and the index of the commit that is being made.
# shellcheck disable=SC2046 # Each is a word.
unset $(git rev-parse --local-env-vars)
root=$PWD
copy=$root/target/mutants/tree
export CARGO_TARGET_DIR=$root/target/mutants/build
log=$root/target/mutants/log
# One at a time: both would change the same files.
mkdir -p "$root/target/mutants"
exec 9>"$root/target/mutants/.lock"
if command -v flock >/dev/null && ! flock -n 9; then
    echo "another run is at work in $root/target/mutants; try again when it has ended" >&2
    exit 1
fi
# Seconds for one target of tests: a mutant can make a test run forever.
limit=600

patches=()
for patch in dcgka/mutants/*.patch baselines/mutants/*.patch; do
    for part in "${@:-}"; do
        if [[ $(basename "$patch") == *"$part"* ]]; then
            patches+=("$root/$patch")
            break
        fi
    done
done
if [ ${#patches[@]} -eq 0 ]; then
    echo "no mutant has such a name: try a part of a file name in dcgka/mutants or baselines/mutants" >&2
    exit 2
fi

remove_copy() {
    cd "$root"
    git worktree remove --force "$copy" 2>/dev/null || rm -rf "$copy"
    git worktree prune
}
trap remove_copy EXIT
trap 'exit 130' INT TERM
remove_copy
mkdir -p "$(dirname "$copy")"
git worktree add --quiet --detach "$copy" HEAD
# What is not committed yet.
git diff --binary HEAD | git -C "$copy" apply --allow-empty
git ls-files --others --exclude-standard -z | xargs -0 -r cp --parents -t "$copy"
cd "$copy"

# One target of tests after the other, the slow ones last: a mutant that is killed early is not compiled for the rest. The
# golden bytes are left out: they change with anything, so they say nothing about a rule.
dcgka=("-p dcgka --lib")
slow=()
for test in dcgka/tests/*.rs dcgka/tests/*/main.rs; do
    name=${test#dcgka/tests/}
    name=${name%/main.rs}
    name=${name%.rs}
    case $name in
    golden) ;;
    conformance | sequence | simulation) slow+=("-p dcgka --test $name") ;;
    *) dcgka+=("-p dcgka --test $name") ;;
    esac
done
dcgka+=("${slow[@]}")
protocol=("-p protocol --lib --tests")
baselines=("-p baselines")
doc=("-p dcgka -p protocol --doc")

run() {
    for target in "$@"; do
        # shellcheck disable=SC2086 # several words
        timeout "$limit" cargo test --locked $target >"$log" 2>&1 || return $?
    done
}
failed() { sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | head -n 1; }

# Compiling everything can take longer than a test may.
cargo test --locked --no-run -p baselines -p dcgka -p protocol 2>"$log"
if ! run "${dcgka[@]}" "${protocol[@]}" "${baselines[@]}" "${doc[@]}"; then
    echo "the tests fail without a mutant: $(failed)" >&2
    tail -n 30 "$log" >&2
    exit 2
fi

survived=0
row() { printf '%-42s | %-72s | %7s\n' "$@"; }
row mutant "killed by" seconds
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    start=$SECONDS
    if ! git apply "$patch" 2>"$log"; then
        verdict="DOES NOT APPLY"
    else
        # First the tests of the crate that the mutant changes.
        if grep -q "^+++ b/protocol" "$patch"; then
            order=("${protocol[@]}" "${dcgka[@]}" "${doc[@]}")
        elif grep -q "^+++ b/baselines" "$patch"; then
            order=("${baselines[@]}")
        else
            order=("${dcgka[@]}" "${protocol[@]}" "${doc[@]}")
        fi
        if run "${order[@]}"; then
            verdict=SURVIVES
        elif [ $? -eq 124 ]; then
            verdict="no end after $limit seconds"
        elif grep -q "^error: could not compile" "$log"; then
            verdict="DOES NOT COMPILE"
        else
            verdict=$(failed)
        fi
        git apply --reverse "$patch"
    fi
    row "$name" "${verdict:-a test that was cut off}" $((SECONDS - start))
    if [[ $verdict == SURVIVES || $verdict == DOES* ]]; then
        survived=$((survived + 1))
    fi
done

if [ $survived -gt 0 ]; then
    echo "$survived of ${#patches[@]} mutants were not killed"
    exit 1
fi
echo "all ${#patches[@]} mutants were killed"
