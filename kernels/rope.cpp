#include "kernels/rope.h"

#include <cmath>

#include "kernels/base/bf16.h"
#include "kernels/base/check.h"

namespace golf {

RopeTables MakeRopeTables(size_t positions, const RopeSettings& s, size_t window) {
  if (window == 0) window = positions;
  GOLF_CHECK(s.rope_dims % 2 == 0);
  const size_t half = s.rope_dims / 2;
  const auto dims = static_cast<double>(s.rope_dims);
  const bool rescale = s.train_length > 0 && window > s.train_length;
  double base = s.base;
  if (rescale) base *= std::pow(static_cast<double>(window) / s.train_length, dims / (dims - 2.0));
  RopeTables tables{std::vector<float>(positions * half), std::vector<float>(positions * half)};
  for (size_t j = 0; j < half; ++j) {
    // Every step in float, as the references do it: the angle of a late position feels the last bit of the frequency.
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(s.rope_dims);
    float frequency = 1.0F / std::pow(static_cast<float>(base), exponent);
    if (s.bf16_frequencies && !rescale) frequency = ToFloat(FromFloat<bf16>(frequency));
    for (size_t t = 0; t < positions; ++t) {
      const float angle = static_cast<float>(t) * frequency;
      tables.cos[t * half + j] = std::cos(angle);
      tables.sin[t * half + j] = std::sin(angle);
    }
  }
  return tables;
}

}  // namespace golf
