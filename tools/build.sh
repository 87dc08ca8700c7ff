#!/usr/bin/env bash
# Configures and builds the release preset: tools/build.sh [TARGET...] (all, if none is named).
set -euo pipefail
cd "$(dirname "$0")/.."

launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake --preset release "${launcher[@]}" --log-level=WARNING
targets=()
if (($# > 0)); then targets=(--target "$@"); fi
cmake --build --preset release "${targets[@]}"
