// Tables of rotary position embeddings: the cosine and sine of position * f_j in float.
//   f_j = 1 / base^(2j / rope_dims), j < rope_dims / 2.
// Where T > train_length > 0, base is first multiplied by (T / train_length)^(rope_dims / (rope_dims - 2)); otherwise
// bf16_frequencies rounds f_j to bfloat16.
// Source: Su et al. 2021; base scaling and the rounding as in PR 598 and PR 668.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace golf {

struct RopeSettings {
  uint32_t rope_dims;  // even
  double base;
  uint32_t train_length;  // 0: base is never rescaled
  bool bf16_frequencies;

  bool operator==(const RopeSettings&) const = default;
};

struct RopeTables {
  std::vector<float> cos, sin;  // (T, rope_dims / 2)
};

RopeTables MakeRopeTables(size_t window, const RopeSettings& settings);

}  // namespace golf
