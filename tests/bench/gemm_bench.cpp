// The matrix products of an 11-layer network of width 512 with MLP 3 x and 1,024 tokens, two windows of 2,048.
#include <fmt/format.h>

#include "tests/bench/bench.h"

namespace golf::bench {

void GemmRows(const Bench& bench) {
  bench.Heading("C (m, n) = A (m, k) B (k, n)");
  struct Product {
    const char* name;
    GemmShape shape;
  };
  constexpr size_t kN = 4096;
  const Product products[] = {
      {"gemm q: x W^T", {kN, 512, 512, false, true}},
      {"gemm mlp up: x W^T", {kN, 1536, 512, false, true}},
      {"gemm mlp down: x W^T", {kN, 512, 1536, false, true}},
      {"gemm logits: x E^T", {kN, 1024, 512, false, true}},
      {"gemm mlp up: dx = dy W", {kN, 512, 1536}},
      {"gemm mlp up: dW = dy^T x", {1536, 512, kN, true, false}},
  };
  for (const Product& p : products) {
    for (const Element e : {Element::kFloat, Element::kBf16}) {
      GemmShape s = p.shape;
      s.ab = e;
      s.c = s.transpose_a ? Element::kFloat : e;
      std::vector<float> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n);
      WholeProduct product(bench.table().make_gemm(s));
      const double size = e == Element::kFloat ? 4.0 : 2.0;
      bench.Row(fmt::format("{} ({}, {}, {})", p.name, s.m, s.n, s.k), e,
                {2.0 * static_cast<double>(s.m * s.n * s.k),
                 size * static_cast<double>(a.size() + b.size() + c.size())},
                [&] { product.Run(a.data(), b.data(), c.data()); });
    }
  }
}

}  // namespace golf::bench
