#include "kernels/gemm.h"

#include <tuple>

#include "tests/kernels/op_check.h"

namespace golf {
namespace {

// Uniform in [-1, 1): millions of them are needed.
std::vector<double> Uniform(size_t n, uint32_t seed) {
  std::vector<double> values(n);
  for (double& v : values) {
    seed = seed * 1664525U + 1013904223U;
    v = static_cast<double>(seed >> 8) / (1 << 23) - 1.0;
  }
  return values;
}

struct Operands {
  std::vector<double> a, b, c;  // a (m, k), b (k, n), c (m, n), not transposed

  explicit Operands(const GemmShape& s)
      : a(Uniform(s.m * s.k, 1)), b(Uniform(s.k * s.n, 2)), c(Uniform(s.m * s.n, 3)) {}
};

// `matrix` as stored in memory.
template <class T>
std::vector<T> Stored(const std::vector<double>& matrix, size_t rows, size_t cols,
                      bool transposed) {
  std::vector<double> out(matrix);
  if (transposed)
    for (size_t i = 0; i < rows; ++i)
      for (size_t j = 0; j < cols; ++j) out[j * rows + i] = matrix[i * cols + j];
  return To<T>(out);
}

template <class In, class Out>
std::vector<Out> Product(const KernelTable& table, const GemmShape& s, const Operands& x) {
  const std::vector<In> a = Stored<In>(x.a, s.m, s.k, s.transpose_a),
                        b = Stored<In>(x.b, s.k, s.n, s.transpose_b);
  std::vector<Out> c = To<Out>(x.c);
  WholeProduct(table.make_gemm(s)).Run(a.data(), b.data(), c.data());
  return c;
}

template <class In, class Out>
void CheckProduct(const GemmShape& s, double tolerance) {
  Operands x(s);
  x.a = ToDouble(To<In>(x.a));
  x.b = ToDouble(To<In>(x.b));
  x.c = ToDouble(To<Out>(x.c));
  std::vector<double> want(s.m * s.n);
  for (size_t i = 0; i < s.m; ++i)
    for (size_t j = 0; j < s.n; ++j) {
      double sum = s.add ? x.c[i * s.n + j] : 0.0;
      for (size_t p = 0; p < s.k; ++p) sum += x.a[i * s.k + p] * x.b[p * s.n + j];
      want[i * s.n + j] = sum;
    }
  ExpectNear(Product<In, Out>(*Tables().back(), s, x), want, tolerance, "c");
}

// k terms of size 1 in float: 2^-24 sqrt(k) relative to the largest, with room. bf16 out: its own rounding.
TEST(Gemm, MatchesTheDefinition) {
  for (const auto& [m, n, k] : {std::tuple<size_t, size_t, size_t>{1, 1, 1},
                                {3, 5, 7},
                                {64, 48, 100},
                                {130, 66, 256},
                                {70, 600, 1100}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const bool add : {false, true}) {
          if (ta && tb) continue;
          SCOPED_TRACE(testing::Message() << m << " " << n << " " << k << " " << ta << tb << add);
          const double tolerance = k <= 256 ? 2e-6 : 4e-6;
          CheckProduct<float, float>({m, n, k, ta, tb, Element::kFloat, Element::kFloat, add},
                                     tolerance);
          CheckProduct<bf16, float>({m, n, k, ta, tb, Element::kBf16, Element::kFloat, add},
                                    tolerance);
          if (ta) continue;
          CheckProduct<bf16, bf16>({m, n, k, ta, tb, Element::kBf16, Element::kBf16, add},
                                   1.0 / 250);
        }
}

// (n, k) of small and large networks, with fragments of vectors and blocks.
const std::vector<std::pair<size_t, size_t>> kLayers = {{512, 512}, {512, 1536}, {1024, 512},
                                                        {128, 128}, {10, 6},     {48, 40}};

template <class In, class Out>
void CheckRowsStandAlone(Element ab, Element c, bool transpose_b) {
  const KernelTable& table = *Tables().back();
  for (const auto& [n, k] : kLayers) {
    GemmShape most{2048, n, k, false, transpose_b, ab, c};
    const Operands x(most);
    const std::vector<In> a = To<In>(x.a), b = To<In>(x.b);
    std::vector<Out> want(most.m * n);
    WholeProduct(table.make_gemm(most)).Run(a.data(), b.data(), want.data());
    for (const size_t m : {1, 7, 64, 100, 448}) {
      GemmShape some = most;
      some.m = m;
      std::vector<Out> got(m * n);
      const size_t first = 2048 - m;  // rows from another place: not the same blocks
      WholeProduct(table.make_gemm(some)).Run(a.data() + first * k, b.data(), got.data());
      EXPECT_EQ(std::memcmp(got.data(), want.data() + first * n, got.size() * sizeof(Out)), 0)
          << "rows " << m << ", n " << n << ", k " << k;
    }
  }
}

TEST(Gemm, RowsDoNotDependOnOneAnother) {
  for (const bool transpose_b : {true, false}) {  // forward; gradient of the input
    SCOPED_TRACE(transpose_b);
    CheckRowsStandAlone<float, float>(Element::kFloat, Element::kFloat, transpose_b);
    CheckRowsStandAlone<bf16, float>(Element::kBf16, Element::kFloat, transpose_b);
    CheckRowsStandAlone<bf16, bf16>(Element::kBf16, Element::kBf16, transpose_b);
  }
}

template <class In, class Out>
void CheckThreads(const GemmShape& s) {
  const Operands x(s);
  const KernelTable& table = *Tables().back();
  std::vector<Out> want;
  for (const int threads : {1, 2, 3, 8}) {
    const WithThreads scope(threads);
    std::vector<Out> got = Product<In, Out>(table, s, x);
    if (want.empty()) want = got;
    EXPECT_TRUE(SameBits(got, want)) << threads << " threads: " << s.m << " " << s.n << " " << s.k
                                     << " " << s.transpose_a << s.transpose_b;
  }
}

TEST(Gemm, ThreadsDoNotChangeBits) {
  for (const auto& [n, k] : kLayers)
    for (const size_t rows : {64, 2048}) {
      CheckThreads<float, float>({rows, n, k, false, true});
      CheckThreads<bf16, bf16>({rows, n, k, false, true, Element::kBf16, Element::kBf16});
      CheckThreads<bf16, float>({rows, k, n, false, false, Element::kBf16, Element::kFloat});
      CheckThreads<float, float>({n, k, rows, true, false, Element::kFloat, Element::kFloat, true});
      CheckThreads<bf16, float>({n, k, rows, true, false, Element::kBf16, Element::kFloat, true});
    }
}

// Products with a transposed A take k in chunks. Threads are in different ones now and then, and the last may be shorter.
TEST(Gemm, ThreadsInDifferentChunksDoNotMeet) {
  for (int i = 0; i < 100; ++i) {
    CheckThreads<float, float>({192, 96, 576, true});
    CheckThreads<bf16, float>({192, 96, 576, true, false, Element::kBf16});
  }
}

}  // namespace
}  // namespace golf
