#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. Safe to repeat; quick the second time.
#
#   tests/run.sh              the release suite (what CI runs)
#   tests/run.sh --asan       address and undefined-behaviour sanitizers, C++ tests only
#   tests/run.sh --tsan       thread sanitizer, C++ tests only (no OpenMP, no MPI)
#   tests/run.sh --fuzz N     every fuzzer (tests/fuzz) for N seconds instead of the tests
#   tests/run.sh --faults N   the release suite with N drawn faults instead of 10
#   tests/run.sh --no-install do not look at packages
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. deploy/setup.sh

preset=release
seconds=300  # of one C++ test
install=yes
while [ $# -gt 0 ]; do
  argument=$1
  shift
  case "$argument" in
    --faults)
      export CALDERA_FAULTS=${1:-}
      [[ $CALDERA_FAULTS =~ ^[1-9][0-9]*$ ]] || { echo "tests/run.sh: --faults takes a number" >&2; exit 2; }
      shift ;;
    --fuzz)
      preset=fuzz fuzz_seconds=${1:-}
      [[ $fuzz_seconds =~ ^[1-9][0-9]*$ ]] || { echo "tests/run.sh: --fuzz takes a number" >&2; exit 2; }
      shift ;;
    --asan) preset=asan seconds=900 ;;
    --tsan) preset=tsan seconds=900 ;;
    --no-install) install=no ;;
    *) echo "tests/run.sh: unknown argument $argument" >&2; exit 2 ;;
  esac
done

export OMP_WAIT_POLICY=passive
# A program goes on after undefined behaviour unless told so: its test would pass.
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# A test asks for more memory than there is, and is to see what a program would.
export ASAN_OPTIONS=allocator_may_return_null=1
export LSAN_OPTIONS=suppressions=$root/tests/support/lsan.supp:print_suppressions=0
if [ "$install" = yes ]; then
  caldera_install deploy/packages.txt tests/packages.txt
  [ "$preset" != fuzz ] || caldera_install tests/fuzz/packages.txt
  # Debian's npm only where there is none: Node from elsewhere conflicts with it.
  command -v npm >/dev/null || caldera_install <(echo npm)
fi
# gRPC and Abseil are Debian's, not instrumented: what they do to their own memory is not looked at.
export TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1:allocator_may_return_null=1:suppressions=$root/tests/support/tsan.supp
build=$root/build/$preset
caldera_build "$preset"
[ "$preset" != fuzz ] || exec tests/fuzz/run.sh "$build" "$fuzz_seconds"

failed=0
echo "== C++ tests ($preset)"
(cd "$build" && ctest --output-on-failure -j "$(nproc)" --timeout "$seconds") || failed=1

if [ "$preset" = release ]; then
  caldera_venv
  CALDERA_SMOLLM2=$(caldera_model)
  export CALDERA_SMOLLM2 CALDERA_BUILD=$build
  echo "== checks of the tree"
  (cd tests/checks && "$root/.venv/bin/python" -m pytest -q -p no:cacheprovider) || failed=1
  echo "== oracles and system tests"
  "$root/.venv/bin/python" -m pytest -q -p no:cacheprovider tests/python tests/system || failed=1
fi
[ "$failed" = 0 ] && echo "all tests passed" || echo "some tests failed"
exit "$failed"
