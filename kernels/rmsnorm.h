// RMSNorm without weights.  y[n,c] = scale * r[n] * x[n,c],  r[n] = 1 / sqrt(mean_c(x[n,c]^2) + eps)
//   dx[n,c] = scale * r[n] * (dy[n,c] - xh[n,c] * mean_c(dy * xh)),  xh = r x
// Shapes:  x, y, dy, dx (N, C) row-major. N tokens, C channels.
// Numbers: a row's sums are float and depend on nothing but the row. Backward computes r anew: the row is in cache.
// Writes:  y is overwritten; dx as Grad says.
// Source:  Zhang & Sennrich 2019, eq. 4, with gain 1; PR 598 multiplies by 1/sqrt(layer + 1), hence scale.
#pragma once
#include <cmath>
#include <complex>

#include "kernels/ops.h"

namespace golf::ref {

template <class T>
T InverseRms(size_t c, double eps, const T* x) {
  using std::sqrt;
  T ss{};
  for (size_t i = 0; i < c; ++i) ss += x[i] * x[i];
  return T(1) / sqrt(ss / T(double(c)) + T(eps));
}

template <class T>
void RmsNormForward(RmsNormDims d, const T* x, T* y) {
  for (size_t n = 0; n < d.N; ++n, x += d.C, y += d.C) {
    const T r = InverseRms(d.C, d.eps, x);
    for (size_t c = 0; c < d.C; ++c) y[c] = T(d.scale) * r * x[c];
  }
}

// Adds to dx.
template <class T>
void RmsNormBackward(RmsNormDims d, const T* x, const T* dy, T* dx) {
  for (size_t n = 0; n < d.N; ++n, x += d.C, dy += d.C, dx += d.C) {
    const T r = InverseRms(d.C, d.eps, x);
    T dot{};  // sum_c dy * x: the part of the gradient that flows through r
    for (size_t c = 0; c < d.C; ++c) dot += dy[c] * x[c];
    const T k = dot * r * r / T(double(d.C));
    for (size_t c = 0; c < d.C; ++c) dx[c] += T(d.scale) * r * (dy[c] - k * x[c]);
  }
}

}  // namespace golf::ref
