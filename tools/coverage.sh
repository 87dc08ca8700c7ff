#!/usr/bin/env bash
# Branch coverage of what reads strangers' files and of what a verdict rests on: readers and writers of artifact/, the
# quantisers, the budget, the audit log and its verifier, by the tests of these rooms. Prints a line per file and the total;
# exit code 1 if less than 95 % of the sides of all branches were taken. Nothing is left out: the failing side of a
# GOLF_CHECK, which no test can take, counts as not taken. build/coverage/missed.txt then names each side that was not.
#
# The tests take a quarter of a minute; building takes several, most of it for kernels, which they link.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh --clang
tests=(golf_artifact_tests golf_fuzz_replay runtime_scoring_test)
tools/build.sh --preset coverage "${tests[@]}"
build=$PWD/build/coverage
rm -rf "$build/profiles"
objects=()
for test in "${tests[@]}"; do
  program=$(find "$build/tests" -name "$test" -type f)
  objects+=(-object "$program")
  (cd "$(dirname "$program")" && LLVM_PROFILE_FILE="$build/profiles/%p.profraw" "$program" --gtest_brief=1)
done

version=$(clang -dumpversion | cut -d. -f1)
"llvm-profdata-$version" merge -sparse "$build"/profiles/*.profraw -o "$build/coverage.profdata"
coverage() { "llvm-cov-$version" "$@" "${objects[@]:1}" -instr-profile="$build/coverage.profdata" 2>/dev/null; }
files='(artifact/|runtime/(audit_log|recount_bytes|verify_audit)[.])[^/]*$'

coverage export -format=lcov | awk -F'[:,]' -v files="/$files" '
  /^SF:/ { wanted = $2 ~ files && $2 !~ /\/tests\//; file = $2; sub(".*/[.][.]/", "", file) }
  /^BRDA:/ && wanted && $5 + 0 == 0 { print file ":" $2 }' > "$build/missed.txt"
# The last three columns: branches, not taken, share. Paths may begin with ../.
coverage report -show-region-summary=false -show-functions=false | awk -v files="^([.][.]/)*$files" '
  function line(name, branches, taken) {
    printf "%-34s %5d of %5d  %6.2f %%\n", name, taken, branches, 100 * taken / branches
  }
  $1 ~ files && $(NF - 2) > 0 {
    sub(/^([.][.]\/)*/, "", $1)
    line($1, $(NF - 2), $(NF - 2) - $(NF - 1))
    branches += $(NF - 2)
    missed += $(NF - 1)
  }
  END {
    if (branches == 0) exit 1
    line("total", branches, branches - missed)
    exit missed > 0.05 * branches
  }'
