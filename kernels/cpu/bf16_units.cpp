#include "kernels/cpu/bf16_units.h"

#include <hwy/detect_compiler_arch.h>

#if HWY_ARCH_X86_64 && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace golf::cpu {

#if HWY_ARCH_X86_64 && defined(__linux__)
namespace {

bool HasTiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const bool amx_bf16 = (d >> 22 & 1) != 0, amx_tile = (d >> 24 & 1) != 0;
  return amx_bf16 && amx_tile;
}

// Linux lets a process use tile registers only after it has asked: they make every thread's saved state 8 KiB larger.
bool AskForTiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool HasMatrixUnit() {
  static const bool has = HasBf16Vectors() && HasTiles() && AskForTiles();
  return has;
}

bool HasBf16Vectors() { return __builtin_cpu_supports("avx512bf16") != 0; }

#else

bool HasMatrixUnit() { return false; }
bool HasBf16Vectors() { return false; }

#endif

}  // namespace golf::cpu
