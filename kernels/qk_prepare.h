// What queries and keys go through before attention, per token n and head h:  y = gain[h] * rope(xh),  xh = r x,
// r = 1 / sqrt(mean(x^2) + eps) over the head's D channels. rope turns the pairs (j, j + R/2), j < R/2:
//   rope(u)_j = u_j cos + u_j' sin,  rope(u)_j' = u_j' cos - u_j sin,  j' = j + R/2; channels R.. pass unchanged
// Backward: g = dy turned back by the same angle, times gain;  dx = r (g - xh mean(g xh));  dgain += sum dy rope(xh)
// Shapes:  x, y, dy, dx (N, H, D) row-major; gain, dgain (H), gain may be null (1); cos, sin (T, R/2) by position;
//          position (N). N tokens, H heads, D head width, R rotary channels, even, <= D.
// Writes:  y is overwritten; dx as Grad says; dgain is accumulated.
// Source:  PR 598; rope in its half layout, tables in rope.h.
#pragma once
#include "kernels/ops.h"
#include "kernels/rmsnorm.h"

namespace golf::ref {

// direction +1 turns, -1 turns back; in place.
template <class T>
void Turn(size_t half, double direction, const T* cos, const T* sin, T* u) {
  for (size_t j = 0; j < half; ++j) {
    const T a = u[j], b = u[j + half], s = T(direction) * sin[j];
    u[j] = a * cos[j] + b * s;
    u[j + half] = b * cos[j] - a * s;
  }
}

template <class T>
void QkPrepareForward(QkPrepareDims d, const T* x, const T* gain, const T* cos, const T* sin,
                      const int32_t* position, T* y) {
  const size_t half = d.R / 2;
  for (size_t n = 0; n < d.N; ++n)
    for (size_t h = 0; h < d.H; ++h, x += d.D, y += d.D) {
      const T r = InverseRms(d.D, d.eps, x);
      for (size_t i = 0; i < d.D; ++i) y[i] = r * x[i];
      Turn(half, 1, cos + size_t(position[n]) * half, sin + size_t(position[n]) * half, y);
      if (gain != nullptr)
        for (size_t i = 0; i < d.D; ++i) y[i] *= gain[h];
    }
}

// Adds to dx and, where not null, dgain. scratch: 2 D.
template <class T>
void QkPrepareBackward(QkPrepareDims d, const T* x, const T* gain, const T* cos, const T* sin,
                       const int32_t* position, const T* dy, T* dx, T* dgain, T* scratch) {
  const size_t half = d.R / 2;
  T* xh = scratch;
  T* g = scratch + d.D;
  for (size_t n = 0; n < d.N; ++n)
    for (size_t h = 0; h < d.H; ++h, x += d.D, dy += d.D, dx += d.D) {
      const T r = InverseRms(d.D, d.eps, x);
      for (size_t i = 0; i < d.D; ++i) xh[i] = r * x[i];
      for (size_t i = 0; i < d.D; ++i) g[i] = dy[i];
      Turn(half, -1, cos + size_t(position[n]) * half, sin + size_t(position[n]) * half, g);
      T dot{};  // <dy, rope(xh)> = <turned back dy, xh>
      for (size_t i = 0; i < d.D; ++i) dot += g[i] * xh[i];
      if (dgain != nullptr) dgain[h] += dot;
      const T w = gain != nullptr ? gain[h] : T(1);
      for (size_t i = 0; i < d.D; ++i) dx[i] += w * r * (g[i] - xh[i] * dot / T(double(d.D)));
    }
}

}  // namespace golf::ref
