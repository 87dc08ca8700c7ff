// IEEE 754 binary16: storage only, arithmetic happens in float.
#pragma once
#include <bit>
#include <cstdint>

namespace golf {

// Exact: every half is a float.
inline float HalfToFloat(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000U} << 16;
  const uint32_t rest = half & 0x7fffU;
  // Shifted into a float's place the exponent lacks 127 - 15; multiplying by 2^112 adds it, subnormals included.
  if (rest < 0x7c00U)
    return std::bit_cast<float>(
        sign | std::bit_cast<uint32_t>(std::bit_cast<float>(rest << 13) * 0x1p112F));
  return std::bit_cast<float>(sign | 0x7f800000U | rest << 13);
}

// Round to nearest, ties to even; too large becomes infinity, a NaN stays a NaN.
inline uint16_t FloatToHalf(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const auto sign = static_cast<uint16_t>(u >> 16 & 0x8000U);
  const uint32_t magnitude = u & 0x7fffffffU;
  uint32_t half;
  if (magnitude > 0x7f800000U) {
    half = 0x7e00U;
  } else if (magnitude >=
             0x477ff000U) {  // 65520, half way between the largest half and the next power of two
    half = 0x7c00U;
  } else if (magnitude < 0x38800000U) {
    // Below 2^-14 halves are multiples of 2^-24: adding 0.5 leaves exactly those bits of the mantissa, rounded by the FPU.
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3f000000U;
  } else {
    half = (magnitude - 0x38000000U + 0xfffU + (magnitude >> 13 & 1U)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

}  // namespace golf
