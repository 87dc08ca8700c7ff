// Exclusive self attention: each head loses its projection on the value of its own position.
//   out = y - (y.u) u,  u = v / max(|v|, 1e-12), per token and head; query head h uses value head h / (H / K)
//   dy = dout - (dout.u) u;  du = -sum over the group's heads of (dout.u) y + (y.u) dout;
//   dv = (du - (du.u) u) / |v|, or du / 1e-12 where |v| < 1e-12
// Shapes:  y, out, dout, dy (N, H, D); v, dv (N, K, D), row-major. N tokens, H heads, K value heads, D head width.
// Writes:  out is overwritten; dy, dv as Grad says.
// Source:  PR 598, _xsa_efficient.
#pragma once
#include <cmath>
#include <complex>

#include "kernels/ops.h"

namespace golf::ref {

inline constexpr double kXsaMinNorm = 1e-12;

template <class T>
T Dot(size_t n, const T* a, const T* b) {
  T sum{};
  for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// 1 / max(|v|, 1e-12); `clamped` tells whether the constant was used.
template <class T>
T InverseNorm(size_t n, const T* v, bool* clamped) {
  using std::real;
  using std::sqrt;
  const T norm = sqrt(Dot(n, v, v));
  *clamped = real(norm) < kXsaMinNorm;
  return *clamped ? T(1 / kXsaMinNorm) : T(1) / norm;
}

template <class T>
void XsaForward(XsaDims d, const T* y, const T* v, T* out) {
  for (size_t n = 0; n < d.N; ++n)
    for (size_t h = 0; h < d.H; ++h) {
      const T* yh = y + (n * d.H + h) * d.D;
      const T* vh = v + (n * d.K + h / (d.H / d.K)) * d.D;
      bool clamped;
      const T inverse = InverseNorm(d.D, vh, &clamped);
      const T a = Dot(d.D, yh, vh) * inverse;
      for (size_t i = 0; i < d.D; ++i) out[(n * d.H + h) * d.D + i] = yh[i] - a * vh[i] * inverse;
    }
}

// Adds to dy and dv.
template <class T>
void XsaBackward(XsaDims d, const T* y, const T* v, const T* dout, T* dy, T* dv) {
  for (size_t n = 0; n < d.N; ++n)
    for (size_t h = 0; h < d.H; ++h) {
      const size_t at = (n * d.H + h) * d.D, at_v = (n * d.K + h / (d.H / d.K)) * d.D;
      bool clamped;
      const T inverse = InverseNorm(d.D, v + at_v, &clamped);
      const T a = Dot(d.D, y + at, v + at_v) * inverse;     // y.u
      const T b = Dot(d.D, dout + at, v + at_v) * inverse;  // dout.u
      const T along = clamped ? T(0) : T(2) * a * b;        // -(du.u)
      for (size_t i = 0; i < d.D; ++i) {
        const T u = v[at_v + i] * inverse;
        dy[at + i] += dout[at + i] - b * u;
        dv[at_v + i] += (along * u - b * y[at + i] - a * dout[at + i]) * inverse;
      }
    }
}

}  // namespace golf::ref
