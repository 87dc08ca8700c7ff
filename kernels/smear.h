// Each token takes a share of its predecessor.  y[t,c] = (1 - s[c]) x[t,c] + s[c] x[t-1,c],  s = sigmoid(gate), x[-1] = 0
//   dx[t] = (1 - s) dy[t] + s dy[t+1] (dy[T] = 0);  dgate[c] += s (1 - s) sum_{b,t} dy[t,c] (x[t-1,c] - x[t,c])
// Shapes:  x, y, dy, dx (B, T, C) row-major; gate, dgate (C). B windows of T tokens, C channels.
// Writes:  y is overwritten; dx as Grad says; dgate is accumulated.
// Source:  PR 598, SmearGate.
#pragma once
#include <cmath>
#include <complex>

#include "kernels/ops.h"

namespace golf::ref {

template <class T>
T Sigmoid(T x) {
  using std::exp;
  return T(1) / (T(1) + exp(-x));
}

template <class T>
void SmearForward(SmearDims d, const T* x, const T* gate, T* y) {
  for (size_t b = 0; b < d.B; ++b)
    for (size_t t = 0; t < d.T; ++t)
      for (size_t c = 0; c < d.C; ++c) {
        const size_t i = (b * d.T + t) * d.C + c;
        const T s = Sigmoid(gate[c]);
        y[i] = (T(1) - s) * x[i] + (t > 0 ? s * x[i - d.C] : T(0));
      }
}

// Adds to dx and dgate.
template <class T>
void SmearBackward(SmearDims d, const T* x, const T* gate, const T* dy, T* dx, T* dgate) {
  for (size_t b = 0; b < d.B; ++b)
    for (size_t t = 0; t < d.T; ++t)
      for (size_t c = 0; c < d.C; ++c) {
        const size_t i = (b * d.T + t) * d.C + c;
        const T s = Sigmoid(gate[c]);
        dx[i] += (T(1) - s) * dy[i] + (t + 1 < d.T ? s * dy[i + d.C] : T(0));
        dgate[c] += s * (T(1) - s) * dy[i] * ((t > 0 ? x[i - d.C] : T(0)) - x[i]);
      }
}

}  // namespace golf::ref
