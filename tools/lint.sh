#!/usr/bin/env bash
# Formatting and static checks, the way .clang-format and .clang-tidy say:
#   tools/lint.sh [FILE...]     all C++ files that git knows, if none is named
# clang-tidy reads the compile commands of build/clang, which this configures.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh --lint
if (($# > 0)); then
  files=("$@")
else
  mapfile -t files < <(git ls-files '*.h' '*.cpp')
fi
clang-format --dry-run -Werror "${files[@]}"

cmake --preset clang --log-level=WARNING
cmake --build --preset clang --target golf_schemas_generate
# What only the fuzz preset compiles has no command there.
mapfile -t sources < <(printf '%s\n' "${files[@]}" | grep '\.cpp$' | grep -v '^tests/fuzz/libfuzzer_entry.cpp$' || true)
((${#sources[@]} == 0)) && exit 0
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/clang --quiet
