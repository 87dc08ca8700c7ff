#!/usr/bin/env bash
# From a clone to a verdict: packages, build, every test; those whose numbers depend on the processor once more as
# processors with less run them. Exit code 0 only if all of it passed.
#   tools/test.sh [--preset NAME]     release (default); developer: the same, warnings are errors; asan, tsan and clang need
#                                     what tools/setup.sh --clang installs
# A clone tests itself with the golden cases in tests/golden/data. Larger sets are run too: $GOLF_GOLDEN, or without it
# ../shared/golden and ../shared/golden-more.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
if [[ ${1:-} == --preset ]]; then preset=$2; fi
case $preset in
  asan | tsan | clang) tools/setup.sh --clang ;;
  *) tools/setup.sh ;;
esac
tools/build.sh --preset "$preset"

golden_sets=()
if [[ -n ${GOLF_GOLDEN:-} ]]; then golden_sets=("$GOLF_GOLDEN"); fi
for set in ../shared/golden{,-more}; do
  if [[ -z ${GOLF_GOLDEN:-} && -d $set ]]; then golden_sets+=("$(realpath "$set")"); fi
done
unset GOLF_GOLDEN

export OMP_WAIT_POLICY=passive  # several tests run at a time: threads that wait must not hold a core
export LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp
if [[ $preset == tsan ]]; then
  # Archer tells ThreadSanitizer in which order OpenMP's barriers and locks bring threads. It asks for an option that hides
  # copies by our own code as well (and reads 1, but not no); tsan.supp leaves out the OpenMP library alone.
  OMP_TOOL_LIBRARIES=$(realpath "$(clang++ -print-resource-dir)/../../libarcher.so")
  export OMP_TOOL_LIBRARIES
  [[ -f $OMP_TOOL_LIBRARIES ]] || { echo "test: $OMP_TOOL_LIBRARIES is missing" >&2; exit 3; }
  TSAN_OPTIONS=ignore_noninstrumented_modules=1:ignore_noninstrumented_modules=no:suppressions=$PWD/tests/tsan.supp
  export TSAN_OPTIONS=$TSAN_OPTIONS:die_after_fork=0  # a child starts threads of its own
fi
failed=0
run() {
  ctest --preset "$preset" --no-tests=error -j "$(nproc)" "$@" || failed=1
}
run
for set in "${golden_sets[@]}"; do
  echo "== golden cases of $set"
  GOLF_GOLDEN=$set run -R '^golden\.'
done
as_if() {  # the environment of a lesser processor
  echo "== as with $*"
  env "$@" ctest --preset "$preset" --no-tests=error -j "$(nproc)" -L '^(kernels|runtime|trainer|golden)$' || failed=1
}
if [[ $preset == asan || $preset == tsan ]]; then
  exit $failed  # which look for other faults than a processor's
fi
if grep -qw avx512f /proc/cpuinfo; then
  as_if DNNL_MAX_CPU_ISA=AVX2 GOLF_CPU=avx2
else
  echo "== this processor has no AVX-512: the tests above ran with AVX2"
fi
as_if GOLF_CPU=portable
exit $failed
