#!/usr/bin/env bash
# run.sh SECONDS [TARGET...]: runs each fuzz target (all: container datum frame letters schema) for SECONDS and prints a line for
# each at the end. Exits 1 where one has found something; what it was is in fuzz/findings, to be tried again with
# `TARGET_DIR/fuzz/bin/fuzz-TARGET FILE`.
#
# Needs what the program itself needs to be built, and a C++ compiler for libFuzzer; stable Rust does. Seeds come from the simulator, and
# what a run has learned is kept in TARGET_DIR/fuzz/corpus for the next.
set -euo pipefail
cd "$(dirname "$0")/.."

all=(container datum frame letters schema)
if [ $# -lt 1 ] || ! [[ $1 =~ ^[0-9]+$ ]]; then
    echo "usage: fuzz/run.sh SECONDS [${all[*]}]" >&2
    exit 2
fi
seconds=$1
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    targets=("${all[@]}")
fi
declare -A longest=([container]=32768 [datum]=8192 [frame]=8192 [letters]=4096 [schema]=65536)
for target in "${targets[@]}"; do
    if [ -z "${longest[$target]:-}" ]; then
        echo "there is no target $target; there are ${all[*]}" >&2
        exit 2
    fi
done

target_dir=${CARGO_TARGET_DIR:-$PWD/target}
work=$target_dir/fuzz
findings=$PWD/fuzz/findings
mkdir -p "$work/bin" "$findings"

# What makes the seeds is built plainly: it has no libFuzzer in it, which the instruments report to.
cargo build --locked -p skysluice-fuzz --bin fuzz-seeds
cp --remove-destination "$target_dir/debug/fuzz-seeds" "$work/bin/"
# The instrumented binaries take the place of the plain ones, so they are copied away.
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh cargo build --locked -p skysluice-fuzz "${all[@]/#/--bin=fuzz-}"
cp --remove-destination "${all[@]/#/$target_dir/debug/fuzz-}" "$work/bin/"
rm -rf "$work/seeds"
"$work/bin/fuzz-seeds" "$work/seeds"

lines=()
failed=0
for target in "${targets[@]}"; do
    corpus=$work/corpus/$target
    log=$work/$target.log
    mkdir -p "$corpus" "$findings/$target"
    before=$(find "$findings/$target" -type f | wc -l)
    echo "== $target for $seconds s"
    status=0
    dictionary=()
    if [ -e "fuzz/$target.dict" ]; then
        dictionary=("-dict=fuzz/$target.dict")
    fi
    "$work/bin/fuzz-$target" "$corpus" "$work/seeds/$target" "${dictionary[@]}" -max_total_time="$seconds" -max_len="${longest[$target]}" \
        -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 -artifact_prefix="$findings/$target/" >"$log" 2>&1 || status=$?
    found=$(($(find "$findings/$target" -type f | wc -l) - before))
    if [ $status -ne 0 ] || [ $found -gt 0 ]; then
        failed=1
        grep -vE '^#[0-9]' "$log" | tail -n 40
    fi
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
    features=$(grep -oE 'ft: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2)
    edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2)
    took=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
    lines+=("$(printf '%-10s %12s runs %6s s %7s edges %8s features %6s inputs %5s MB  %s found' "$target" "$(stat number_of_executed_units)" \
        "${took:-?}" "${edges:-?}" "${features:-?}" "$(find "$corpus" -type f | wc -l)" "$(stat peak_rss_mb)" "$found")")
done
printf '%s\n' "" "${lines[@]}"
if [ $failed -ne 0 ]; then
    echo "something was found: see fuzz/findings and $work/*.log" >&2
fi
exit $failed
