// Exact GELU.  y = x Phi(x),  Phi(x) = (1 + erf(x / sqrt 2)) / 2
//   dx = (Phi(x) + x phi(x)) dy,  phi(x) = exp(-x^2 / 2) / sqrt(2 pi)
// Shapes:  x, y, dx, dy (N, C) row-major. N tokens, C channels.
// Writes:  y is overwritten; dx as Grad says.
// Source:  Hendrycks & Gimpel 2016, without the tanh approximation, as in PR 1232's FlowRefiner.
#pragma once
#include <cmath>
#include <complex>
#include <numbers>
#include <type_traits>

#include "kernels/ops.h"

namespace golf::ref {

// For complex numbers the Maclaurin series: analytic, and good to rounding for the |x| < 3 of tests.
template <class T>
T Erf(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::erf(x);
  } else {
    T power = x, sum = x;  // power: (-1)^n x^(2n+1) / n!
    for (int n = 1; n < 200; ++n) {
      power *= -x * x / T(n);
      sum += power / T(2 * n + 1);
    }
    return sum * T(2 * std::numbers::inv_sqrtpi);
  }
}

template <class T>
T NormalDistribution(T x) {
  return T(0.5) * (T(1) + Erf(x * T(1 / std::numbers::sqrt2)));
}

template <class T>
void GeluForward(RowDims d, const T* x, T* y) {
  for (size_t i = 0; i < d.N * d.C; ++i) y[i] = x[i] * NormalDistribution(x[i]);
}

// Adds to dx.
template <class T>
void GeluBackward(RowDims d, const T* x, const T* dy, T* dx) {
  using std::exp;
  for (size_t i = 0; i < d.N * d.C; ++i) {
    const T density =
        exp(T(-0.5) * x[i] * x[i]) * T(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
    dx[i] += (NormalDistribution(x[i]) + x[i] * density) * dy[i];
  }
}

}  // namespace golf::ref
