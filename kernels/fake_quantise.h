// Quantise and dequantise, row by row, so that a network feels the grid it will be packed on.
//   s = max(max|w| / divisor, floor);  y = w + (clamp(round(w / s), lowest, highest) s - w)
// Round is half to even. The seemingly idle w + (.. - w) is the reference's straight-through form, rounding included.
// The gradient with respect to w is the gradient with respect to y.
// Shapes:  w, y (rows, cols) row-major.   Source: PR 598, late QAT (divisor 31, floor 1/31, -32..31).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>

namespace golf::ref {

inline void FakeQuantise(size_t rows, size_t cols, float divisor, float floor, float lowest,
                         float highest, const float* w, float* y) {
  for (size_t i = 0; i < rows; ++i, w += cols, y += cols) {
    float largest = 0;
    for (size_t j = 0; j < cols; ++j) largest = std::max(largest, std::abs(w[j]));
    const float s = std::max(largest / divisor, floor);
    for (size_t j = 0; j < cols; ++j)
      y[j] = w[j] + (std::clamp(std::nearbyint(w[j] / s), lowest, highest) * s - w[j]);
  }
}

}  // namespace golf::ref
