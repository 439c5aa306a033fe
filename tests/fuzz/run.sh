#!/usr/bin/env bash
# tests/fuzz/run.sh BUILD SECONDS: runs every fuzzer of the build for so long, two at a time, and prints what each did.
# Corpora grow in BUILD/fuzz from run to run. Called by tests/run.sh --fuzz.
set -uo pipefail

# What an input may cost: 10 KB are to be read within 20 seconds and 512 MiB, no single allocation beyond 128 MiB.
limits=(-max_len=10240 -timeout=20 -rss_limit_mb=512 -malloc_limit_mb=128)
# Freed memory that is kept from reuse counts as memory of the process.
export ASAN_OPTIONS=quarantine_size_mb=16:detect_leaks=1:symbolize=1
export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-16
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# run_one BUILD SECONDS NAME: one line of the table; fails on a finding.
run_one() {
  local build=$1 seconds=$2 name=$3
  local home=$build/fuzz/$name dictionary result=ok status=0
  local log=$home/log
  mkdir -p "$home/corpus" "$home/findings"
  dictionary=$(dirname "$0")/dictionaries/$name.dict
  local options=("${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$home/findings/")
  [ ! -f "$dictionary" ] || options+=(-dict="$dictionary")
  "$build/bin/fuzz-$name" "${options[@]}" "$home/corpus" "$build/fuzz/$name/seeds" >"$log" 2>&1 || status=$?
  if [ "$status" != 0 ]; then
    result=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    result="FINDING ${result:-(see $log)}"
  fi
  awk -v name="$name" -v result="$result" '
    / cov: / { for (i = 1; i < NF; ++i) { if ($i == "cov:") cov = $(i + 1); if ($i == "corp:") corpus = $(i + 1) } }
    /^stat::number_of_executed_units/ { executed = $2 }
    /^stat::peak_rss_mb/ { rss = $2 }
    END { printf "%-18s %10d %8d %12s %6d  %s\n", name, executed, cov, corpus, rss, result }' "$log"
  [ "$status" = 0 ]
}

if [ "$1" = --one ]; then
  run_one "$2" "$3" "$4"
  exit
fi
build=$1 seconds=$2
targets=$("$build/bin/write-fuzz-seeds" "$build/fuzz") || exit 1
printf '%-18s %10s %8s %12s %6s  %s\n' fuzzer executions coverage corpus MiB result
if printf '%s\n' "$targets" | xargs -P 2 -I '{}' "$0" --one "$build" "$seconds" '{}'; then
  echo "no findings"
else
  echo "some fuzzers found something; $build/bin/fuzz-NAME FILE repeats it, $build/fuzz/NAME/log tells what it was"
  exit 1
fi
