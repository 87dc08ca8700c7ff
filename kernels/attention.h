// Causal grouped-query attention.
//   s[t,u] = q_t . k_u / sqrt(D),  lse[t] = log sum_{u<=t} exp(s[t,u]),  p[t,u] = exp(s[t,u] - lse[t]) for u <= t, else 0,
//   y_t = sum_u p[t,u] v_u;   query head h reads key/value head h / (H / K).
// Shapes:  q, y, dq, dy (B, Q, H, D); k, v, dk, dv (B, T, K, D); lse (B, Q, H). B windows, Q query rows, T keys per window,
//          H query heads, K key/value heads (K divides H), D head width (1 .. kMaxHeadWidth).
// Subset:  forward computes the Q rows that start at position first_row[b]; first_row[b] + Q <= T. A null first_row means
//          row 0 in every window.
// Numbers: ref computes in S. cpu keeps scores, softmax and sums in float. bf16 tensors are widened, or multiplied by a
//          matrix unit that takes bf16: there p and ds are rounded to bf16 before the products that consume them.
// Exact:   a row's bits depend on nothing but its own query and the keys and values up to its position, which have to be
//          finite everywhere: not on Q, first_row, the other windows or the number of threads.
// Memory:  no buffer grows with T * T: a thread keeps some tiles of scores, and one head's keys and values (T, D).
// Writes:  y and lse are overwritten (a null lse is skipped); dq, dk, dv as their Grad says.
// Source:  Dao 2023 (FlashAttention-2), algorithms 1 and 2; the derivative needs p only through
//          ds[t,u] = p[t,u] * (dy_t . v_u - delta[t]),  delta[t] = dy_t . y_t.
#pragma once
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/limits.h"
#include "kernels/ops.h"

namespace golf {

namespace ref {  // the definition: plain loops, any scalar S

// The probabilities of one query row over the keys 0 .. n-1 (row stride `stride`); returns the log-sum-exp.
template <class S>
S AttentionRow(size_t n, size_t width, const S* q, const S* k, size_t stride, S* p) {
  const S scale = S(1) / std::sqrt(S(static_cast<double>(width)));
  for (size_t u = 0; u < n; ++u) {
    p[u] = S{};
    for (size_t c = 0; c < width; ++c) p[u] += q[c] * k[u * stride + c];
    p[u] *= scale;
  }
  const auto real_less = [](S a, S b) { return std::real(a) < std::real(b); };
  const S top = *std::max_element(p, p + n, real_less);
  S sum{};
  for (size_t u = 0; u < n; ++u) sum += std::exp(p[u] - top);
  const S lse = top + std::log(sum);
  for (size_t u = 0; u < n; ++u) p[u] = std::exp(p[u] - lse);
  return lse;
}

template <class S>
void AttentionForward(AttentionDims d, const S* q, const S* k, const S* v,
                      const uint32_t* first_row, S* y, S* lse) {
  const size_t stride = d.K * d.D;
  std::vector<S> p(d.T);
  for (size_t b = 0; b < d.B; ++b) {
    for (size_t i = 0; i < d.Q; ++i) {
      const size_t n = (first_row != nullptr ? first_row[b] : 0) + i + 1;
      for (size_t h = 0; h < d.H; ++h) {
        const size_t row = (b * d.Q + i) * d.H + h;
        const size_t keys = (b * d.T * d.K + h / (d.H / d.K)) * d.D;
        const S row_lse = AttentionRow(n, d.D, q + row * d.D, k + keys, stride, p.data());
        if (lse != nullptr) lse[row] = row_lse;
        for (size_t c = 0; c < d.D; ++c) {
          S sum{};
          for (size_t u = 0; u < n; ++u) sum += p[u] * v[keys + u * stride + c];
          y[row * d.D + c] = sum;
        }
      }
    }
  }
}

// Recomputes the probabilities, so it takes neither y nor lse.
template <class S>
void AttentionBackward(AttentionDims d, const S* q, const S* k, const S* v, const S* dy, Grad<S> dq,
                       Grad<S> dk, Grad<S> dv) {
  const size_t stride = d.K * d.D;
  const S scale = S(1) / std::sqrt(S(static_cast<double>(d.D)));
  const auto clear = [](Grad<S> g, size_t n) {
    if (g.data != nullptr && g.into == Into::kOverwrite) std::fill(g.data, g.data + n, S{});
  };
  clear(dq, d.B * d.T * d.H * d.D);
  clear(dk, d.B * d.T * stride);
  clear(dv, d.B * d.T * stride);
  std::vector<S> p(d.T), dp(d.T);
  for (size_t row = 0; row < d.B * d.T * d.H; ++row) {
    const size_t b = row / (d.T * d.H), t = row / d.H % d.T, h = row % d.H;
    const size_t keys = (b * d.T * d.K + h / (d.H / d.K)) * d.D;
    AttentionRow(t + 1, d.D, q + row * d.D, k + keys, stride, p.data());
    S delta{};
    for (size_t u = 0; u <= t; ++u) {
      dp[u] = S{};
      for (size_t c = 0; c < d.D; ++c) dp[u] += dy[row * d.D + c] * v[keys + u * stride + c];
      delta += p[u] * dp[u];
    }
    for (size_t u = 0; u <= t; ++u) {
      const S ds = p[u] * (dp[u] - delta) * scale;
      for (size_t c = 0; c < d.D; ++c) {
        const size_t x = row * d.D + c, key = keys + u * stride + c;
        if (dq.data != nullptr) dq.data[x] += ds * k[key];
        if (dk.data != nullptr) dk.data[key] += ds * q[x];
        if (dv.data != nullptr) dv.data[key] += p[u] * dy[x];
      }
    }
  }
}

}  // namespace ref
}  // namespace golf
