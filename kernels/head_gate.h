// A gate per token and head.  y = s x,  s = sigmoid(z)
//   dx = s dy;  dz = s (1 - s) sum over the head of dy x
// Shapes:  x, y, dx, dy (N, H, D); z, dz (N, H), row-major. N tokens, H heads, D head width.
// Writes:  y is overwritten; dx, dz as Grad says.
// Source:  PR 1232, gated attention: z is a linear map of the layer's input, y goes to its output projection.
#pragma once
#include "kernels/ops.h"
#include "kernels/smear.h"

namespace golf::ref {

template <class T>
void HeadGateForward(HeadGateDims d, const T* x, const T* z, T* y) {
  for (size_t i = 0; i < d.N * d.H * d.D; ++i) y[i] = Sigmoid(z[i / d.D]) * x[i];
}

// Adds to both gradients.
template <class T>
void HeadGateBackward(HeadGateDims d, const T* x, const T* z, const T* dy, T* dx, T* dz) {
  for (size_t i = 0; i < d.N * d.H * d.D; ++i) {
    const T s = Sigmoid(z[i / d.D]);
    dx[i] += s * dy[i];
    dz[i / d.D] += s * (T(1) - s) * dy[i] * x[i];
  }
}

}  // namespace golf::ref
