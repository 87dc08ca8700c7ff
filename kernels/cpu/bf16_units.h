// What this processor multiplies bf16 matrices with.
#pragma once

namespace golf::cpu {

// The matrix unit (AMX), together with AVX512-BF16. The first call asks the operating system for permission.
bool HasMatrixUnit();

// Vector units with AVX512-BF16.
bool HasBf16Vectors();

}  // namespace golf::cpu
