// A bias per channel.  y = x + b;  dx = dy;  db += sum dy
// Shapes:  x, y and gradients (N, C) row-major; b, db (C). N tokens, C channels.
// Numbers: sums over tokens are float over blocks of rows, the blocks added in order.
// Writes:  y is overwritten; dx as Grad says; db is accumulated.
#pragma once
#include "kernels/ops.h"

namespace golf::ref {

template <class T>
void BiasForward(RowDims d, const T* x, const T* b, T* y) {
  for (size_t i = 0; i < d.N * d.C; ++i) y[i] = x[i] + b[i % d.C];
}

// Adds to both gradients.
template <class T>
void BiasBackward(RowDims d, const T* dy, T* dx, T* db) {
  for (size_t i = 0; i < d.N * d.C; ++i) {
    dx[i] += dy[i];
    db[i % d.C] += dy[i];
  }
}

}  // namespace golf::ref
