// Sums of activations with weights per channel (C) or one for all (`scalar`).
//   add         y = a + b               da = dy       db = dy
//   scale       y = w x                 dx = w dy                     dw += sum dy x
//   scaled_add  y = a + w b             da = dy       db = w dy       dw += sum dy b
//   mix         y = w[0] a + w[1] b     da = w[0] dy  db = w[1] dy    dw[0] += sum dy a, dw[1] += sum dy b
// Shapes:  a, b, x, y and gradients (N, C) row-major; w, dw (C) or 1; mix: (2, C) or 2. N tokens, C channels.
// Numbers: sums over tokens are float over blocks of rows, the blocks added in order.
// Writes:  y is overwritten; da, db, dx as Grad says; dw is accumulated.
#pragma once
#include "kernels/ops.h"

namespace golf::ref {

// Index of channel c's weight.
inline size_t WeightAt(ElementwiseDims d, size_t c) { return d.scalar ? 0 : c; }

template <class T>
void AddForward(ElementwiseDims d, const T* a, const T* b, T* y) {
  for (size_t i = 0; i < d.N * d.C; ++i) y[i] = a[i] + b[i];
}

template <class T>
void ScaleForward(ElementwiseDims d, const T* x, const T* w, T* y) {
  for (size_t i = 0; i < d.N * d.C; ++i) y[i] = w[WeightAt(d, i % d.C)] * x[i];
}

template <class T>
void ScaledAddForward(ElementwiseDims d, const T* a, const T* b, const T* w, T* y) {
  for (size_t i = 0; i < d.N * d.C; ++i) y[i] = a[i] + w[WeightAt(d, i % d.C)] * b[i];
}

template <class T>
void MixForward(ElementwiseDims d, const T* a, const T* b, const T* w, T* y) {
  const T* w1 = w + (d.scalar ? 1 : d.C);
  for (size_t i = 0; i < d.N * d.C; ++i)
    y[i] = w[WeightAt(d, i % d.C)] * a[i] + w1[WeightAt(d, i % d.C)] * b[i];
}

// The backward functions add to every gradient.
template <class T>
void AddBackward(ElementwiseDims d, const T* dy, T* da, T* db) {
  for (size_t i = 0; i < d.N * d.C; ++i) {
    da[i] += dy[i];
    db[i] += dy[i];
  }
}

template <class T>
void ScaleBackward(ElementwiseDims d, const T* x, const T* w, const T* dy, T* dx, T* dw) {
  for (size_t i = 0; i < d.N * d.C; ++i) {
    const size_t k = WeightAt(d, i % d.C);
    dx[i] += w[k] * dy[i];
    dw[k] += dy[i] * x[i];
  }
}

template <class T>
void ScaledAddBackward(ElementwiseDims d, const T* b, const T* w, const T* dy, T* da, T* db,
                       T* dw) {
  for (size_t i = 0; i < d.N * d.C; ++i) da[i] += dy[i];
  ScaleBackward(d, b, w, dy, db, dw);
}

template <class T>
void MixBackward(ElementwiseDims d, const T* a, const T* b, const T* w, const T* dy, T* da, T* db,
                 T* dw) {
  const size_t second = d.scalar ? 1 : d.C;
  ScaleBackward(d, a, w, dy, da, dw);
  ScaleBackward(d, b, w + second, dy, db, dw + second);
}

}  // namespace golf::ref
