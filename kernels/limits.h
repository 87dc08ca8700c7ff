// What kernels can take. runtime/operations.cpp refuses programs beyond it.
#pragma once
#include <cstddef>

namespace golf {

inline constexpr size_t kMaxHeadWidth = 256;  // channels of a head: qk_prepare, attention, xsa
inline constexpr size_t kMaxXsaGroup = 64;    // query heads per key/value head: xsa

}  // namespace golf
