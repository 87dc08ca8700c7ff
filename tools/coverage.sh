#!/usr/bin/env bash
# Branch coverage of what reads strangers' files and of what a verdict rests on: readers and writers of artifact/, the
# quantisers, the budget, the audit log and its verifier. Prints llvm-cov's table; exit code 1 if less than 95 % of the
# branches of these files were taken both ways by their tests.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh --clang
tests=(golf_artifact_tests golf_pack_tests golf_fuzz_replay runtime_scoring_test golf_run_test golf_tools_tests
       failing_io_tests)
tools/build.sh --preset coverage "${tests[@]}"
build=build/coverage
rm -rf $build/profiles
export LLVM_PROFILE_FILE=$PWD/$build/profiles/%p.profraw GOLF_GOLDEN=$PWD/tests/golden/data
for test in "${tests[@]}"; do
  folder=$(dirname "$(find $build/tests -name "$test" -type f)")
  (cd "$folder" && "./$test" --gtest_brief=1 --gtest_filter='-Trained*:*Bench*')
done

llvm_version=$(clang -dumpversion | cut -d. -f1)
"llvm-profdata-$llvm_version" merge -sparse $build/profiles/*.profraw -o $build/coverage.profdata
objects=()
for test in "${tests[@]}"; do objects+=(-object "$(find $build/tests -name "$test" -type f)"); done
for program in golf-data golf-train golf-pack golf-run golf-inspect; do objects+=(-object $build/bin/$program); done
mapfile -t sources < <(ls artifact/*.cpp artifact/*.h runtime/audit_log.* runtime/verify_audit.* runtime/recount_bytes.*)
"llvm-cov-$llvm_version" report "${objects[@]:1}" -instr-profile=$build/coverage.profdata \
  -show-region-summary=false -show-functions=false "${sources[@]}" | tee $build/coverage.txt
awk '/^TOTAL/ { sub("%", "", $NF); exit !($NF >= 95) }' $build/coverage.txt
