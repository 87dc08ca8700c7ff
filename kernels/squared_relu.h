// Squared (leaky) ReLU with an optional scale and bias per unit.  y = scale f(x)^2 + bias,  f(x) = x > 0 ? x : slope x
//   dx = 2 scale f(x) f'(x) dy;  dscale += sum f(x)^2 dy;  dbias += sum dy
// Shapes:  x, y, dy, dx (N, F) row-major; scale, bias and gradients (F), both or neither. N tokens, F hidden units.
// Writes:  y is overwritten; dx as Grad says; dscale, dbias are accumulated.
// Source:  So et al. 2021 (squared ReLU); scale and bias as in PR 598, slope 0.5 as in PR 1232.
#pragma once
#include <complex>

#include "kernels/ops.h"

namespace golf::ref {

template <class T>
T LeakyRelu(T x, double slope) {
  using std::real;
  return real(x) > 0 ? x : T(slope) * x;
}

template <class T>
void SquaredReluForward(SquaredReluDims d, const T* x, const T* scale, const T* bias, T* y) {
  for (size_t i = 0; i < d.N * d.F; ++i) {
    const T f = LeakyRelu(x[i], d.negative_slope);
    y[i] = scale == nullptr ? f * f : scale[i % d.F] * f * f + bias[i % d.F];
  }
}

// Adds to dx and, where not null, dscale and dbias.
template <class T>
void SquaredReluBackward(SquaredReluDims d, const T* x, const T* scale, const T* dy, T* dx,
                         T* dscale, T* dbias) {
  using std::real;
  for (size_t i = 0; i < d.N * d.F; ++i) {
    const T f = LeakyRelu(x[i], d.negative_slope);
    const T slope = real(x[i]) > 0 ? T(1) : T(d.negative_slope);
    dx[i] += T(2) * (scale == nullptr ? T(1) : scale[i % d.F]) * f * slope * dy[i];
    if (dscale != nullptr) dscale[i % d.F] += f * f * dy[i];
    if (dbias != nullptr) dbias[i % d.F] += dy[i];
  }
}

}  // namespace golf::ref
