#!/usr/bin/env bash
# Feeds the readers hostile files: tools/fuzz.sh [SECONDS] [TARGET...]
# SECONDS per target (60), one target after the other; all targets of tests/fuzz, if none is named. Prints executions and
# findings of each; exit code 1 if there is a finding, whose input then lies in build/fuzz/findings. At the end 200 forged
# artifacts are read as the programs read them.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
fi
targets=("$@")
if ((${#targets[@]} == 0)); then
  for folder in tests/fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
fi

tools/setup.sh --clang
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake --preset fuzz "${launcher[@]}" --log-level=WARNING
cmake --build --preset fuzz --target "${targets[@]/#/golf_fuzz_}" golf_fuzz_forged

export ASAN_OPTIONS=quarantine_size_mb=16  # freed memory that is kept counts as memory
failed=0
mkdir -p build/fuzz/findings build/fuzz/logs
for target in "${targets[@]}"; do
  mkdir -p "build/fuzz/corpus/$target"  # what is new goes here; tests/fuzz/README.md says how to keep it
  log=build/fuzz/logs/$target
  # An input of 16 KB may take 64 MB in one piece and 512 MB in all, the sanitizer's own memory included.
  options=(-max_total_time="$seconds" -max_len=16384 -timeout=30 -malloc_limit_mb=64 -rss_limit_mb=512 -print_final_stats=1
           -artifact_prefix="build/fuzz/findings/$target-")
  if [[ -f tests/fuzz/$target.dict ]]; then options+=(-dict="tests/fuzz/$target.dict"); fi
  findings=0
  "build/fuzz/fuzz/golf_fuzz_$target" "${options[@]}" "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" \
    >"$log" 2>&1 || findings=1
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '%-12s %12s executions, %d findings\n' "$target" "${executions:-0}" "$findings"
  if ((findings > 0)); then
    failed=1
    grep -E 'ERROR|runtime error|check failed|SUMMARY|Test unit written' "$log" || tail -n 5 "$log"
  fi
done
build/fuzz/fuzz/golf_fuzz_forged || failed=1
exit $failed
