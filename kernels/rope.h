// Tables of rotary position embeddings: the cosine and sine of position * f_j in float.
//   f_j = 1 / base^(2j / rope_dims), j < rope_dims / 2.
// Where the window W > train_length > 0, base is first multiplied by (W / train_length)^(rope_dims / (rope_dims - 2));
// otherwise bf16_frequencies rounds f_j to bfloat16.
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

// Of the first `positions`, T, of a window of `window` tokens, W (0: as many).
RopeTables MakeRopeTables(size_t positions, const RopeSettings& settings, size_t window = 0);

}  // namespace golf
