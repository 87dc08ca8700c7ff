// Attention: the definition against its complex-step derivative, every table entry against the definition, and the
// exactness that kernels/attention.h promises.
#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <complex>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/variant.h"
#include "kernels/table.h"
#include "kernels/threads.h"

namespace golf {
namespace {

template <class T>
std::vector<T> Normal(size_t n, uint32_t seed, double scale = 1.0) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0.0, scale);
  std::vector<T> x(n);
  for (T& value : x) {
    if constexpr (std::is_same_v<T, double>) {
      value = normal(random);
    } else {
      value = FromFloat<T>(static_cast<float>(normal(random)));
    }
  }
  return x;
}

template <class T>
std::vector<double> Widen(const std::vector<T>& x) {
  std::vector<double> wide(x.size());
  for (size_t i = 0; i < x.size(); ++i) wide[i] = static_cast<double>(ToFloat(x[i]));
  return wide;
}

template <class T>
bool SameBits(const T* a, const T* b, size_t n) {
  return std::memcmp(a, b, n * sizeof(T)) == 0;
}

// max |got - want| / max(|want|, 0.01): a gradient that is zero exactly comes out as rounding noise.
template <class T>
double RelativeError(const std::vector<T>& got, const std::vector<double>& want) {
  double worst = 0.0, top = 0.01;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(static_cast<double>(ToFloat(got[i])) - want[i]);
    if (!(error <= worst)) worst = error;  // a NaN shows
    top = std::max(top, std::abs(want[i]));
  }
  return worst / top;
}

size_t QuerySize(AttentionDims d) { return d.B * d.Q * d.H * d.D; }
size_t KeySize(AttentionDims d) { return d.B * d.T * d.K * d.D; }

// Inputs of one case, and the results of one table.
template <class T>
struct Case {
  AttentionDims d;
  std::vector<T> q, k, v, dy;
  std::vector<T> y, dq, dk, dv;
  std::vector<float> lse;

  explicit Case(AttentionDims dims, uint32_t seed = 1, double scale = 1.0) : d(dims) {
    q = Normal<T>(QuerySize(d), seed, scale);
    k = Normal<T>(KeySize(d), seed + 1, scale);
    v = Normal<T>(KeySize(d), seed + 2);
    dy = Normal<T>(QuerySize(d), seed + 3);
  }

  void Forward(const KernelTable& table, const uint32_t* first_row = nullptr) {
    y.assign(q.size(), FromFloat<T>(NAN));
    lse.assign(d.B * d.Q * d.H, NAN);
    table.ops<T>().attention_forward(d, q.data(), k.data(), v.data(), first_row, y.data(),
                                     lse.data());
  }

  void Backward(const KernelTable& table) {
    dq.assign(q.size(), FromFloat<T>(NAN));
    dk.assign(k.size(), FromFloat<T>(NAN));
    dv.assign(v.size(), FromFloat<T>(NAN));
    Backward(table, {dq.data(), Into::kOverwrite}, {dk.data(), Into::kOverwrite},
             {dv.data(), Into::kOverwrite});
  }

  void Backward(const KernelTable& table, Grad<T> to_q, Grad<T> to_k, Grad<T> to_v) {
    const size_t bytes = table.ops<T>().attention_backward_scratch(d);
    void* scratch = std::aligned_alloc(64, bytes / 64 * 64 + 64);
    std::memset(scratch, 0xff, bytes);  // NaN: nothing may rely on what it held
    table.ops<T>().attention_backward(d, q.data(), k.data(), v.data(), y.data(), lse.data(),
                                      dy.data(), to_q, to_k, to_v, scratch);
    std::free(scratch);
  }
};

// d/dx of sum(dy * y) by the complex step, one input element at a time.
template <class F>
std::vector<double> ComplexStep(const std::vector<double>& x, const F& loss) {
  std::vector<std::complex<double>> z(x.begin(), x.end());
  std::vector<double> gradient(x.size());
  constexpr double kStep = 1e-30;
  for (size_t i = 0; i < x.size(); ++i) {
    z[i] += std::complex<double>(0.0, kStep);
    gradient[i] = loss(z).imag() / kStep;
    z[i] = x[i];
  }
  return gradient;
}

TEST(AttentionDefinition, GradientsMatchTheComplexStep) {
  using Complex = std::complex<double>;
  const AttentionDims d{2, 5, 5, 4, 2, 3};
  const auto q = Normal<double>(QuerySize(d), 1), k = Normal<double>(KeySize(d), 2);
  const auto v = Normal<double>(KeySize(d), 3), dy = Normal<double>(QuerySize(d), 4);
  const auto widen = [](const std::vector<double>& x) {
    return std::vector<Complex>(x.begin(), x.end());
  };
  const auto loss = [&](const std::vector<Complex>& a, const std::vector<Complex>& b,
                        const std::vector<Complex>& c) {
    std::vector<Complex> y(dy.size());
    ref::AttentionForward<Complex>(d, a.data(), b.data(), c.data(), nullptr, y.data(), nullptr);
    Complex sum{};
    for (size_t i = 0; i < y.size(); ++i) sum += dy[i] * y[i];
    return sum;
  };
  const auto want_q = ComplexStep(q, [&](const auto& x) { return loss(x, widen(k), widen(v)); });
  const auto want_k = ComplexStep(k, [&](const auto& x) { return loss(widen(q), x, widen(v)); });
  const auto want_v = ComplexStep(v, [&](const auto& x) { return loss(widen(q), widen(k), x); });

  std::vector<double> dq(q.size()), dk(k.size()), dv(v.size());
  ref::AttentionBackward<double>(d, q.data(), k.data(), v.data(), dy.data(), {dq.data()},
                                 {dk.data()}, {dv.data()});
  for (size_t i = 0; i < dq.size(); ++i) EXPECT_NEAR(dq[i], want_q[i], 1e-13);
  for (size_t i = 0; i < dk.size(); ++i) EXPECT_NEAR(dk[i], want_k[i], 1e-13);
  for (size_t i = 0; i < dv.size(); ++i) EXPECT_NEAR(dv[i], want_v[i], 1e-13);
}

class AttentionKernel : public testing::TestWithParam<cpu::Variant> {
 protected:
  const KernelTable& table() const { return cpu::TableOf(GetParam()); }
  // The portable variant has no vectors: it gets the small shapes.
  bool slow() const { return GetParam() == cpu::Variant::kPortable; }
  void TearDown() override { SetThreads(threads_); }

  template <class T>
  void ExpectMatchesDefinition(AttentionDims d, double forward_limit, double backward_limit) {
    SCOPED_TRACE("B Q T H K D = " + std::to_string(d.B) + " " + std::to_string(d.Q) + " " +
                 std::to_string(d.T) + " " + std::to_string(d.H) + " " + std::to_string(d.K) + " " +
                 std::to_string(d.D));
    Case<T> c(d);
    c.Forward(table());
    c.Backward(table());
    const auto q = Widen(c.q), k = Widen(c.k), v = Widen(c.v), dy = Widen(c.dy);
    std::vector<double> y(q.size()), lse(c.lse.size());
    ref::AttentionForward(d, q.data(), k.data(), v.data(), nullptr, y.data(), lse.data());
    EXPECT_LE(RelativeError(c.y, y), forward_limit);
    EXPECT_LE(RelativeError(c.lse, lse), sizeof(T) == sizeof(float) ? 1e-6 : 1e-4);
    std::vector<double> dq(q.size()), dk(k.size()), dv(v.size());
    ref::AttentionBackward<double>(d, q.data(), k.data(), v.data(), dy.data(), {dq.data()},
                                   {dk.data()}, {dv.data()});
    EXPECT_LE(RelativeError(c.dq, dq), backward_limit);
    EXPECT_LE(RelativeError(c.dk, dk), backward_limit);
    EXPECT_LE(RelativeError(c.dv, dv), backward_limit);
  }

 private:
  int threads_ = Threads();
};

const AttentionDims kSmallShapes[] = {
    {1, 1, 1, 1, 1, 1},      {2, 12, 12, 4, 2, 8},   {2, 12, 12, 4, 4, 16}, {1, 7, 7, 6, 2, 5},
    {1, 64, 64, 2, 1, 64},   {3, 65, 65, 2, 2, 64},  {1, 63, 63, 4, 1, 33}, {2, 130, 130, 3, 1, 64},
    {1, 100, 100, 2, 1, 96}, {1, 70, 70, 1, 1, 256}, {1, 81, 81, 9, 3, 31},
};
const AttentionDims kLargeShapes[] = {
    {2, 512, 512, 4, 4, 64}, {1, 600, 600, 4, 2, 64}, {1, 1100, 1100, 2, 1, 32}};

TEST_P(AttentionKernel, MatchesTheDefinitionInFloat) {
  for (const AttentionDims& d : kSmallShapes) ExpectMatchesDefinition<float>(d, 2e-6, 4e-6);
  if (slow()) return;
  for (const AttentionDims& d : kLargeShapes) ExpectMatchesDefinition<float>(d, 2e-6, 4e-6);
}

// y is rounded to bf16 (2^-9), p and ds may be; delta is taken from the rounded y.
TEST_P(AttentionKernel, MatchesTheDefinitionInBf16) {
  for (const AttentionDims& d : kSmallShapes) ExpectMatchesDefinition<bf16>(d, 8e-3, 1.6e-2);
  if (slow()) return;
  for (const AttentionDims& d : kLargeShapes) ExpectMatchesDefinition<bf16>(d, 8e-3, 1.6e-2);
}

template <class T>
void ExpectFutureDoesNotMatter(const KernelTable& table) {
  const AttentionDims d{1, 150, 150, 4, 2, 64};
  for (const size_t t : {0UL, 1UL, 62UL, 63UL, 64UL, 100UL, 127UL, 140UL}) {
    Case<T> a(d);
    a.Forward(table);
    Case<T> b(d);
    const auto other = Normal<float>(KeySize(d), 99, 1e6);
    const size_t row = d.K * d.D;
    for (size_t i = (t + 1) * row; i < b.k.size(); ++i) {
      b.k[i] = FromFloat<T>(other[i]);
      b.v[i] = FromFloat<T>(-other[i]);
    }
    b.Forward(table);
    EXPECT_TRUE(SameBits(a.y.data(), b.y.data(), (t + 1) * d.H * d.D)) << t;
    EXPECT_TRUE(SameBits(a.lse.data(), b.lse.data(), (t + 1) * d.H)) << t;
  }
}

TEST_P(AttentionKernel, KeysAndValuesOfTheFutureDoNotMatter) {
  ExpectFutureDoesNotMatter<float>(table());
  ExpectFutureDoesNotMatter<bf16>(table());
}

// Computes rows first .. first + count - 1 of each window alone.
template <class T>
void ExpectSubsetHasSameBits(const KernelTable& table, AttentionDims d) {
  Case<T> whole(d);
  whole.Forward(table);
  const size_t width = d.H * d.D;
  for (const size_t count : {size_t{1}, size_t{5}, size_t{64}, d.T - 3}) {
    if (count > d.T) continue;
    std::vector<uint32_t> first(d.B);
    for (size_t b = 0; b < d.B; ++b) {
      first[b] = static_cast<uint32_t>((b * 37 + count * 13) % (d.T - count + 1));
    }
    Case<T> part({d.B, count, d.T, d.H, d.K, d.D});
    for (size_t b = 0; b < d.B; ++b) {
      const T* from = whole.q.data() + (b * d.T + first[b]) * width;
      std::copy(from, from + count * width, part.q.data() + b * count * width);
    }
    part.k = whole.k;
    part.v = whole.v;
    part.Forward(table, first.data());
    for (size_t b = 0; b < d.B; ++b) {
      EXPECT_TRUE(SameBits(part.y.data() + b * count * width,
                           whole.y.data() + (b * d.T + first[b]) * width, count * width))
          << "window " << b << ", " << count << " rows from " << first[b];
      EXPECT_TRUE(SameBits(part.lse.data() + b * count * d.H,
                           whole.lse.data() + (b * d.T + first[b]) * d.H, count * d.H));
    }
  }
}

TEST_P(AttentionKernel, SomeRowsHaveTheBitsOfAllRows) {
  for (const AttentionDims& d : {AttentionDims{3, 200, 200, 4, 2, 64}, {2, 75, 75, 3, 1, 24}}) {
    ExpectSubsetHasSameBits<float>(table(), d);
    ExpectSubsetHasSameBits<bf16>(table(), d);
  }
}

template <class T>
void ExpectSameAlone(const KernelTable& table) {
  const AttentionDims d{3, 90, 90, 4, 2, 64};
  Case<T> all(d);
  SetThreads(2);
  all.Forward(table);
  all.Backward(table);
  SetThreads(1);
  const AttentionDims one{1, d.Q, d.T, d.H, d.K, d.D};
  for (size_t b = 0; b < d.B; ++b) {
    Case<T> alone(one);
    const size_t queries = QuerySize(one), keys = KeySize(one);
    std::copy_n(all.q.data() + b * queries, queries, alone.q.data());
    std::copy_n(all.dy.data() + b * queries, queries, alone.dy.data());
    std::copy_n(all.k.data() + b * keys, keys, alone.k.data());
    std::copy_n(all.v.data() + b * keys, keys, alone.v.data());
    alone.Forward(table);
    alone.Backward(table);
    EXPECT_TRUE(SameBits(alone.y.data(), all.y.data() + b * queries, queries));
    std::vector<T> y(alone.y.size());  // and it does not matter whether lse is wanted
    table.ops<T>().attention_forward(one, alone.q.data(), alone.k.data(), alone.v.data(), nullptr,
                                     y.data(), nullptr);
    EXPECT_TRUE(SameBits(y.data(), alone.y.data(), queries));
    EXPECT_TRUE(SameBits(alone.dq.data(), all.dq.data() + b * queries, queries));
    EXPECT_TRUE(SameBits(alone.dk.data(), all.dk.data() + b * keys, keys));
    EXPECT_TRUE(SameBits(alone.dv.data(), all.dv.data() + b * keys, keys));
  }
}

TEST_P(AttentionKernel, BitsDependNeitherOnThreadsNorOnOtherWindows) {
  ExpectSameAlone<float>(table());
  ExpectSameAlone<bf16>(table());
}

template <class T>
void ExpectThreadsDoNotMatter(const KernelTable& table, AttentionDims d) {
  Case<T> a(d), b(d);
  SetThreads(1);
  a.Forward(table);
  a.Backward(table);
  SetThreads(3);
  b.Forward(table);
  b.Backward(table);
  EXPECT_TRUE(SameBits(a.y.data(), b.y.data(), a.y.size()));
  EXPECT_TRUE(SameBits(a.dq.data(), b.dq.data(), a.dq.size()));
  EXPECT_TRUE(SameBits(a.dk.data(), b.dk.data(), a.dk.size()));
  EXPECT_TRUE(SameBits(a.dv.data(), b.dv.data(), a.dv.size()));
}

TEST_P(AttentionKernel, LongWindowsGiveTheSameBitsOnAnyNumberOfThreads) {
  if (slow()) GTEST_SKIP() << "long windows: vector variants only";
  ExpectThreadsDoNotMatter<float>(table(), {1, 1200, 1200, 4, 2, 64});
  ExpectThreadsDoNotMatter<bf16>(table(), {1, 1200, 1200, 4, 2, 64});
}

template <class T>
void ExpectGradsAddAndSkip(const KernelTable& table, AttentionDims d, double limit) {
  Case<T> c(d);
  c.Forward(table);
  c.Backward(table);
  const auto start_q = Normal<T>(c.q.size(), 7), start_k = Normal<T>(c.k.size(), 8);
  auto dq = start_q;
  auto dk = start_k;
  c.Backward(table, {dq.data(), Into::kAdd}, {dk.data(), Into::kAdd}, {});
  std::vector<double> want_q(dq.size()), want_k(dk.size());
  for (size_t i = 0; i < dq.size(); ++i)
    want_q[i] = double{ToFloat(start_q[i])} + double{ToFloat(c.dq[i])};
  for (size_t i = 0; i < dk.size(); ++i)
    want_k[i] = double{ToFloat(start_k[i])} + double{ToFloat(c.dk[i])};
  EXPECT_LE(RelativeError(dq, want_q), limit);
  EXPECT_LE(RelativeError(dk, want_k), limit);

  std::vector<T> dv(c.v.size(), FromFloat<T>(NAN));
  c.Backward(table, {}, {}, {dv.data(), Into::kOverwrite});
  EXPECT_TRUE(SameBits(dv.data(), c.dv.data(), dv.size()));
}

TEST_P(AttentionKernel, GradientsAreAddedOrSkippedAsAsked) {
  ExpectGradsAddAndSkip<float>(table(), {2, 70, 70, 4, 2, 24}, 1e-6);
  ExpectGradsAddAndSkip<bf16>(table(), {2, 70, 70, 4, 2, 24}, 8e-3);
  if (slow()) return;
  ExpectGradsAddAndSkip<float>(table(), {1, 1100, 1100, 2, 1, 64}, 1e-6);
  ExpectGradsAddAndSkip<bf16>(table(), {1, 1100, 1100, 2, 1, 64}, 8e-3);
}

// Scores of several thousand: one key takes all; nothing overflows.
template <class T>
void ExpectHugeScoresStayFinite(const KernelTable& table, double limit) {
  const AttentionDims d{1, 140, 140, 2, 1, 64};
  Case<T> c(d, 5, 25.0);
  c.Forward(table);
  c.Backward(table);
  const auto q = Widen(c.q), k = Widen(c.k), v = Widen(c.v);
  std::vector<double> y(q.size());
  ref::AttentionForward<double>(d, q.data(), k.data(), v.data(), nullptr, y.data(), nullptr);
  EXPECT_LE(RelativeError(c.y, y), limit);
  for (const T g : c.dq) EXPECT_TRUE(std::isfinite(ToFloat(g)));
  for (const T g : c.dk) EXPECT_TRUE(std::isfinite(ToFloat(g)));
}

TEST_P(AttentionKernel, HugeScoresStayFinite) {
  ExpectHugeScoresStayFinite<float>(table(), 1e-3);  // scores of 5000 carry 3e-4 of rounding
  ExpectHugeScoresStayFinite<bf16>(table(), 8e-3);
}

INSTANTIATE_TEST_SUITE_P(Cpu, AttentionKernel, testing::ValuesIn(cpu::SupportedVariants()),
                         [](const auto& variant) { return cpu::VariantName(variant.param); });

}  // namespace
}  // namespace golf
