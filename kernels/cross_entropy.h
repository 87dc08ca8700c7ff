// Cross entropy of soft-capped logits, in nats.  c = softcap tanh(z / softcap);  lse[n] = log sum_v exp(c[n,v])
//   nll[n] = lse[n] - c[n, target[n]];  dz = dnll (exp(c - lse) - [v = target]) (1 - tanh^2(z / softcap))
// Shapes:  z, dz (N, V) row-major; target, nll, lse (N); dnll one number for all rows. N tokens, V vocabulary.
// Numbers: z is float whatever T is; exponentials are taken relative to the row's maximum. softcap > 0.
//          A row's result depends on nothing but the row.
// Writes:  nll, lse (may be null in forward) and dz are overwritten.
// Source:  Gemma 2 (softcap); PR 598 with softcap 30.
#pragma once
#include <cmath>
#include <complex>

#include "kernels/ops.h"

namespace golf::ref {

template <class T>
void CrossEntropyForward(CrossEntropyDims d, const T* z, const int32_t* target, T* nll, T* lse) {
  using std::exp;
  using std::log;
  using std::real;
  using std::tanh;
  for (size_t n = 0; n < d.N; ++n, z += d.V) {
    const auto capped = [&](size_t v) { return T(d.softcap) * tanh(z[v] / T(d.softcap)); };
    auto highest = real(capped(0));
    for (size_t v = 1; v < d.V; ++v) highest = std::max(highest, real(capped(v)));
    T sum{};
    for (size_t v = 0; v < d.V; ++v) sum += exp(capped(v) - T(highest));
    const T log_sum = log(sum) + T(highest);
    nll[n] = log_sum - capped(size_t(target[n]));
    if (lse != nullptr) lse[n] = log_sum;
  }
}

// Adds to dz.
template <class T>
void CrossEntropyBackward(CrossEntropyDims d, const T* z, const int32_t* target, const T* lse,
                          T dnll, T* dz) {
  using std::exp;
  using std::tanh;
  for (size_t n = 0; n < d.N; ++n, z += d.V, dz += d.V)
    for (size_t v = 0; v < d.V; ++v) {
      const T t = tanh(z[v] / T(d.softcap));
      const T p = exp(T(d.softcap) * t - lse[n]);
      dz[v] += dnll * (p - T(size_t(target[n]) == v ? 1 : 0)) * (T(1) - t * t);
    }
}

}  // namespace golf::ref
