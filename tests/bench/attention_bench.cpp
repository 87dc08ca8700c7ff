// Attention. Work counts the causal half only: query row t meets t + 1 keys.
#include <fmt/format.h>
#include <hwy/aligned_allocator.h>

#include <numeric>

#include "tests/bench/bench.h"

namespace golf::bench {
namespace {

template <class T>
void Rows(const Bench& bench, AttentionDims d) {
  const std::string shape =
      fmt::format("(B {}, Q {}, T {}, H {}, K {}, D {})", d.B, d.Q, d.T, d.H, d.K, d.D);
  const auto& ops = bench.table().ops<T>();
  const size_t queries = d.B * d.Q * d.H * d.D, keys = d.B * d.T * d.K * d.D;
  const auto q = Normal<T>(queries), k = Normal<T>(keys), v = Normal<T>(keys);
  std::vector<T> y(queries);
  std::vector<float> lse(d.B * d.Q * d.H);
  const uint32_t first = static_cast<uint32_t>(d.T - d.Q);
  const std::vector<uint32_t> first_row(d.B, first);
  double scores = 0.0;
  for (size_t t = first; t < d.T; ++t) scores += static_cast<double>(d.B * d.H * (t + 1));
  const double width = static_cast<double>(d.D), size = sizeof(T);
  const double bytes = size * static_cast<double>(2 * queries + 2 * keys);
  bench.Row("attention forward " + shape, ElementOf<T>(), {2 * 2 * width * scores, bytes}, [&] {
    ops.attention_forward(d, q.data(), k.data(), v.data(), first_row.data(), y.data(), lse.data());
  });
  if (d.Q != d.T || !bench.Wants("attention backward " + shape)) return;
  ops.attention_forward(d, q.data(), k.data(), v.data(), nullptr, y.data(), lse.data());
  const auto dy = Normal<T>(queries);
  std::vector<T> dq(queries), dk(keys), dv(keys);
  const auto scratch =
      hwy::AllocateAligned<std::byte>(std::max<size_t>(1, ops.attention_backward_scratch(d)));
  // dP, dQ, dK, dV; scores that are made anew do not count.
  bench.Row(
      "attention backward " + shape, ElementOf<T>(), {4 * 2 * width * scores, 2 * bytes}, [&] {
        ops.attention_backward(d, q.data(), k.data(), v.data(), y.data(), lse.data(), dy.data(),
                               {dq.data()}, {dk.data()}, {dv.data()}, scratch.get());
      });
}

}  // namespace

void AttentionRows(const Bench& bench) {
  bench.Heading("attention, causal half");
  for (const AttentionDims d : {AttentionDims{1, 2048, 2048, 8, 4, 64},
                                {4, 512, 512, 4, 4, 64},
                                {1, 2048, 2048, 4, 4, 128},
                                {16, 64, 2048, 8, 4, 64}}) {
    Rows<float>(bench, d);
    Rows<bf16>(bench, d);
  }
}

}  // namespace golf::bench
