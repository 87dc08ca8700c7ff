// bfloat16: the upper half of a float. Storage only; arithmetic happens in float.
#pragma once
#include <bit>
#include <cstdint>
#include <span>

namespace golf {

struct bf16 {  // NOLINT(readability-identifier-naming): named as in every numerics text
  uint16_t bits;
};

inline float ToFloat(float x) { return x; }
inline float ToFloat(bf16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

// Round to nearest, ties to even; a NaN stays a NaN.
template <class T>
inline T FromFloat(float x);
template <>
inline float FromFloat<float>(float x) {
  return x;
}
template <>
inline bf16 FromFloat<bf16>(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  if ((u & 0x7fffffffU) > 0x7f800000U) return {static_cast<uint16_t>((u >> 16) | 0x40U)};
  return {static_cast<uint16_t>((u + 0x7fffU + ((u >> 16) & 1U)) >> 16)};
}

inline void RoundToBf16(std::span<float> values) {
  for (float& x : values) x = ToFloat(FromFloat<bf16>(x));
}

}  // namespace golf
