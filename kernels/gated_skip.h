// Convex blend with a weighted skip connection.  y = s x + (1 - s) w skip,  s = sigmoid(gate), per channel
//   dx = s dy;  dskip = (1 - s) w dy;  dw += sum (1 - s) skip dy;  dgate += s (1 - s) sum dy (x - w skip)
// Shapes:  x, skip, y and gradients (N, C) row-major; w, gate and gradients (C). N tokens, C channels.
// Writes:  y is overwritten; dx, dskip as Grad says; dw, dgate are accumulated.
// Source:  PR 598, U-Net skips.
#pragma once
#include "kernels/ops.h"
#include "kernels/smear.h"

namespace golf::ref {

template <class T>
void GatedSkipForward(GatedSkipDims d, const T* x, const T* skip, const T* w, const T* gate, T* y) {
  for (size_t i = 0; i < d.N * d.C; ++i) {
    const T s = Sigmoid(gate[i % d.C]);
    y[i] = s * x[i] + (T(1) - s) * w[i % d.C] * skip[i];
  }
}

// Adds to every gradient.
template <class T>
void GatedSkipBackward(GatedSkipDims d, const T* x, const T* skip, const T* w, const T* gate,
                       const T* dy, T* dx, T* dskip, T* dw, T* dgate) {
  for (size_t i = 0; i < d.N * d.C; ++i) {
    const size_t c = i % d.C;
    const T s = Sigmoid(gate[c]);
    dx[i] += s * dy[i];
    dskip[i] += (T(1) - s) * w[c] * dy[i];
    dw[c] += (T(1) - s) * skip[i] * dy[i];
    dgate[c] += s * (T(1) - s) * dy[i] * (x[i] - w[c] * skip[i]);
  }
}

}  // namespace golf::ref
