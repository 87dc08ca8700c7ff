// Whether the processor rounds floats to bf16 by itself (AVX512-BF16).
#pragma once
#include <hwy/detect_compiler_arch.h>

namespace golf::cpu {

#if HWY_ARCH_X86
inline const bool kRoundsToBf16 = __builtin_cpu_supports("avx512bf16") != 0;
#endif

}  // namespace golf::cpu
