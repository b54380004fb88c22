#!/bin/sh
# instrument.sh RUSTC ARGUMENT...: the compiler of the workspace's own crates while `fuzz/run.sh` builds them. It adds what libFuzzer
# goes by: counters of edges, the table of their places, and comparisons. Dependencies are compiled without it, as ever.
rustc=$1
shift
case " $* " in
*" --crate-name build_script_build "* | *" --print "* | *" -vV "*) exec "$rustc" "$@" ;;
esac
exec "$rustc" "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Copt-level=3 -Cdebug-assertions=on -Coverflow-checks=on
