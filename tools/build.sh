#!/usr/bin/env bash
# Configures and builds a preset: tools/build.sh [--preset NAME] [TARGET...]   (release; all targets, if none is named)
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
if [[ ${1:-} == --preset ]]; then
  preset=$2
  shift 2
fi
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake --preset "$preset" "${launcher[@]}" --log-level=WARNING
targets=()
if (($# > 0)); then targets=(--target "$@"); fi
cmake --build --preset "$preset" "${targets[@]}"
