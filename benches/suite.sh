#!/usr/bin/env bash
# Measures everything that the goals are stated for, one run after the other, ROUNDS times, so that runs that are compared are
# interleaved; appends a JSON line for each to LINES and prints a table of the medians. Build both programs first:
#
#     cargo build --release --workspace
#     cargo test --test harness            # fetches the broker, once
#     benches/suite.sh LINES [ROUNDS=3] [DIR=a temporary folder]
#
# DIR has to be on the disk that is to be measured, with room for about 12 GB. What to run, and how much of it, can be said by
# ONLY (a pattern of labels, such as 'files-*'), ZTF, LSST and PRICE (alerts of a run), CATALOGS and ROWS.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
lines=$(realpath -m "$1") rounds=${2:-3}
target=${CARGO_TARGET_DIR:-$here/../target}
loadgen=$(realpath "$target")/release/skysluice-loadgen
[ -x "$loadgen" ] || { echo "no $loadgen: run 'cargo build --release --workspace' first" >&2; exit 1; }
work=$(mktemp -d "${3:-${TMPDIR:-/tmp}}/skysluice-suite.XXXXXX")
trap 'rm -rf "$work"' EXIT
ztf=${ZTF:-40000} lsst=${LSST:-20000} price=${PRICE:-15000} catalogs="--catalogs ${CATALOGS:-10} --catalog-rows ${ROWS:-1000000}"

# One run: its label, then what bench is asked for.
one() {
    local label=$1
    shift
    # shellcheck disable=SC2254
    case $label in ${ONLY:-*}) ;; *) return ;; esac
    echo "$label" >&2
    "$loadgen" bench --label "$label" --dir "$work/run" "$@" >> "$lines" || echo "$label failed" >&2
    rm -rf "$work/run"
}

# shellcheck disable=SC2086
on_disk() {
    one files-ztf --source files --kind ztf --count "$ztf" $catalogs
    one files-ztf-no-cutouts --source files --kind ztf --count "$ztf" --columns "all except cutouts" $catalogs
    one memory-ztf --source memory --kind ztf --count "$ztf" $catalogs
    one files-lsst --source files --kind lsst --count "$lsst" $catalogs
    one files-lsst-new --source files --kind lsst --history none --count "$lsst" $catalogs
    one memory-lsst --source memory --kind lsst --count "$lsst" $catalogs
}

# shellcheck disable=SC2086
on_kafka() {
    one kafka-ztf --source kafka --brokers "$BROKERS" --produce --kind ztf --count "$ztf" $catalogs
    one kafka-lsst --source kafka --brokers "$BROKERS" --produce --kind lsst --count "$lsst" $catalogs
    one latency-ztf --source kafka --brokers "$BROKERS" --produce --kind ztf --rate 1000 --count 20000 --publish annotated $catalogs
}

# What each part of the promise costs, on equal messages: the archive alone; the same where strace, which sees no other calls, says in
# the system's place that all is synced; with an output; with an output in transactions.
# shellcheck disable=SC2086
prices() {
    local kafka="--source kafka --brokers $BROKERS --produce --kind ztf --count $price"
    one price-archive $kafka
    if [ -x "$unsynced" ]; then
        one price-archive-unsynced $kafka --skysluice "$unsynced"
    fi
    one price-output $kafka --publish price
    one price-transactions $kafka --topic "price-$RANDOM" --publish price-transactions --transactions
}

# By a name of its own: below the broker's script `work` is another folder.
unsynced=$work/unsynced syncs="fsync,fdatasync"
if strace -f -qq --seccomp-bpf -o "$work/trace" -e "trace=$syncs" -e "inject=$syncs:retval=0" true 2> /dev/null; then
    printf '#!/bin/sh\nexec strace -f -qq --seccomp-bpf -o /dev/null -e trace=%s -e inject=%s:retval=0 %s "$@"\n' \
        "$syncs" "$syncs" "$(dirname "$loadgen")/skysluice" > "$unsynced"
    chmod +x "$unsynced"
fi

export -f one on_kafka prices
export loadgen lines work unsynced ztf lsst price catalogs ONLY=${ONLY:-*}
for _ in $(seq "$rounds"); do
    on_disk
    case $ONLY in files-* | memory-*) ;; *) TMPDIR=$work "$here/with_kafka.sh" bash -euo pipefail -c 'on_kafka; prices' ;; esac
done
"$loadgen" table "$lines"
