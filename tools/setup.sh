#!/usr/bin/env bash
# Makes sure that the Debian packages which a build needs are installed:
#   tools/setup.sh [--demo] [--clang] [--lint]     also what tools/demo.sh, the Clang presets (clang, asan, tsan, fuzz) or tools/lint.sh needs
# As root, or with a sudo that asks for no password, it installs what is missing; otherwise it names it and exits with 3.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config ccache
  libdnnl-dev ocl-icd-opencl-dev libhwy-dev         # matrix products, SIMD
  libzstd-dev liblzma-dev libxxhash-dev libflatbuffers-dev flatbuffers-compiler
  libcli11-dev nlohmann-json3-dev libfmt-dev libtomlplusplus-dev libeigen3-dev libsentencepiece-dev
  libopenmpi-dev openmpi-bin                        # several processes
  libgtest-dev libgmock-dev
)
for argument in "$@"; do
  case $argument in
    --demo) packages+=(bible-kjv bible-kjv-text xz-utils) ;;
    --clang) packages+=(clang libomp-dev libclang-rt-dev llvm) ;;
    --lint) packages+=(clang libomp-dev clang-format clang-tidy) ;;
    *) echo "usage: tools/setup.sh [--demo] [--clang] [--lint]" >&2; exit 2 ;;
  esac
done

missing() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

if ! command -v dpkg-query >/dev/null; then
  echo "setup: not a Debian system; needed are what these packages hold: ${packages[*]}" >&2
  exit 0  # they may well be there under other names; cmake will tell
fi
mapfile -t wanted < <(missing)
((${#wanted[@]} == 0)) && exit 0

if ((EUID == 0)); then
  as_root=()
elif sudo -n true 2>/dev/null; then
  as_root=(sudo -n)
else
  echo "setup: these packages are missing: ${wanted[*]}" >&2
  echo "setup: as root: apt-get install ${wanted[*]}" >&2
  exit 3
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}" </dev/null
mapfile -t wanted < <(missing)
if ((${#wanted[@]} > 0)); then
  echo "setup: could not be installed: ${wanted[*]}" >&2
  exit 3
fi
