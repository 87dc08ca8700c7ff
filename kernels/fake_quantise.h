// Quantise and dequantise, row by row, so that a network feels the grid it will be packed on.
//   c = quantile of |w| over the row;  s = max(c / divisor, floor);  r = w / s
//   nearest  y = w + (clamp(round(r), lowest, highest) s - w)             dw = dy, also outside the range
//   soft     y = s clamp(k + tanh(a f) / (2 tanh(a / 2)), lowest, highest),  k = floor(r) + 1/2, f = r - k
//            dw = a (1 - tanh(a f)^2) / (2 tanh(a / 2)) dy, 0 where the clamp holds; s is a constant
// Round is half to even. The seemingly idle w + (.. - w) is the reference's straight-through form, rounding included.
// A quantile q of n numbers has the rank float(q) (n - 1), between two of them by linear interpolation.
// Shapes:  w, y, dw (rows, cols) row-major.
// Source:  PR 598 (divisor 31, -32..31), PR 1004 (divisor 15, -16..15, quantile 0.9995), PR 1232 (soft, a from 1 to 16).
#pragma once
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include "kernels/optimizers.h"

namespace golf::ref {

inline float MagnitudeQuantile(std::span<const float> w, float quantile,
                               std::vector<float>& scratch) {
  scratch.resize(w.size());
  // A NaN has no place in an order; as an infinity it spoils the row, and the loss shows it.
  std::transform(w.begin(), w.end(), scratch.begin(),
                 [](float x) { return std::isnan(x) ? HUGE_VALF : std::abs(x); });
  const float rank = quantile * static_cast<float>(w.size() - 1), low = std::floor(rank);
  const auto at = scratch.begin() + static_cast<std::ptrdiff_t>(low);
  std::nth_element(scratch.begin(), at, scratch.end());
  const float a = *at, t = rank - low;
  if (t == 0) return a;
  const float b = *std::min_element(at + 1, scratch.end());
  return t < 0.5F ? a + t * (b - a) : b - (b - a) * (1.0F - t);
}

inline float FakeQuantScale(const FakeQuantRule& rule, std::span<const float> row,
                            std::vector<float>& scratch) {
  return std::max(MagnitudeQuantile(row, rule.quantile, scratch) / rule.divisor, rule.floor);
}

// The soft staircase at r = w / s, before the clamp: goes through every half, steeper with a.
template <class T>
T SoftRound(T r, double a) {
  using std::floor, std::real, std::tanh;
  const double k = floor(real(r)) + 0.5;
  return T(k) + tanh(T(a) * (r - T(k))) / T(2 * tanh(a / 2));
}

inline void FakeQuantise(size_t rows, size_t cols, const FakeQuantRule& rule, const float* w,
                         float* y) {
  std::vector<float> scratch;
  for (size_t i = 0; i < rows; ++i, w += cols, y += cols) {
    const float s = FakeQuantScale(rule, {w, cols}, scratch);
    for (size_t j = 0; j < cols; ++j) {
      if (rule.sharpness > 0) {
        const auto r = static_cast<float>(SoftRound<double>(w[j] / s, rule.sharpness));
        y[j] = std::clamp(r, rule.lowest, rule.highest) * s;
      } else {
        y[j] = w[j] + (std::clamp(std::nearbyint(w[j] / s), rule.lowest, rule.highest) * s - w[j]);
      }
    }
  }
}

// Soft rounding only: g, the gradient of y, becomes that of w.
inline void FakeQuantiseBackward(size_t rows, size_t cols, const FakeQuantRule& rule,
                                 const float* w, float* g) {
  std::vector<float> scratch;
  const double a = rule.sharpness, steepness = a / (2 * std::tanh(a / 2));
  for (size_t i = 0; i < rows; ++i, w += cols, g += cols) {
    const float s = FakeQuantScale(rule, {w, cols}, scratch);
    for (size_t j = 0; j < cols; ++j) {
      const double r = w[j] / s, y = SoftRound(r, a);
      const double t = std::tanh(a * (r - std::floor(r) - 0.5));
      const bool clamped = y < rule.lowest || y > rule.highest;
      g[j] = clamped ? 0.0F : static_cast<float>(steepness * (1 - t * t) * g[j]);
    }
  }
}

}  // namespace golf::ref
