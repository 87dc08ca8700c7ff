#include "kernels/optimizers.h"

#include "kernels/fake_quantise.h"
#include "tests/kernels/op_check.h"

namespace golf {
namespace {

// More than one thread's share, and not a multiple of any vector.
constexpr size_t kCount = 3 * 16'384 + 5;

std::vector<float> Floats(size_t n, uint32_t seed) { return To<float>(Randoms(n, seed)); }

TEST(AdamW, MatchesTheFormula) {
  const std::vector<float> g = Floats(kCount, 1), p0 = Floats(kCount, 2);
  std::vector<double> p = ToDouble(p0), m(kCount), v(kCount);
  for (int step = 1; step <= 3; ++step)
    for (size_t i = 0; i < kCount; ++i) {
      const double gi = static_cast<double>(g[i]) * step;
      p[i] *= 1 - 0.03 * 0.04;
      m[i] = 0.9 * m[i] + 0.1 * gi;
      v[i] = 0.95 * v[i] + 0.05 * gi * gi;
      p[i] -= 0.03 / (1 - std::pow(0.9, step)) * m[i] /
              (std::sqrt(v[i]) / std::sqrt(1 - std::pow(0.95, step)) + 1e-8);
    }
  for (const KernelTable* table : Tables()) {
    SCOPED_TRACE(table->instructions);
    std::vector<float> got_p = p0, got_m(kCount), got_v(kCount);
    for (int step = 1; step <= 3; ++step) {
      std::vector<float> scaled = g;
      table->optimizer.multiply(kCount, static_cast<float>(step), scaled.data());
      table->optimizer.adamw({0.03, 0.9, 0.95, 1e-8, 0.04, step}, kCount, scaled.data(),
                             got_p.data(), got_m.data(), got_v.data());
    }
    ExpectNear(got_p, p, 1e-6, "p");
    ExpectNear(got_m, m, 1e-6, "m");
    ExpectNear(got_v, v, 2e-6, "v");
  }
}

// 1.0F - 0.999F is off by 1.3e-5 of itself.
TEST(AdamW, ComplementsOfTheBetasAreRoundedOnce) {
  for (const KernelTable* table : Tables()) {
    std::vector<float> g(3, 1.0F), p(3), m(3), v(3), average(3);
    table->optimizer.adamw({0, 0.9, 0.999, 1e-8, 0, 1}, 3, g.data(), p.data(), m.data(), v.data());
    table->optimizer.ema(3, 0.997, g.data(), average.data());
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(m[i], 0.1F);
      EXPECT_EQ(v[i], 0.001F);
      EXPECT_EQ(average[i], 0.003F);
    }
  }
}

TEST(AdamW, LeavesParametersWithoutGradientToDecay) {
  std::vector<float> g(3, 0.0F), p(3, 2.0F), m(3), v(3);
  Tables().back()->optimizer.adamw({0.5, 0.9, 0.95, 1e-8, 0.1, 1}, 3, g.data(), p.data(), m.data(),
                                   v.data());
  for (const float x : p) EXPECT_FLOAT_EQ(x, 2.0F * 0.95F);
}

TEST(Sgd, AccumulatesMomentum) {
  const std::vector<float> g = Floats(kCount, 1), p0 = Floats(kCount, 2);
  std::vector<double> want = ToDouble(p0);
  for (size_t i = 0; i < kCount; ++i) {
    const double first = g[i], second = 0.9 * first + g[i];
    want[i] = (want[i] * (1 - 0.1 * 0.01) - 0.1 * first) * (1 - 0.1 * 0.01) - 0.1 * second;
  }
  for (const KernelTable* table : Tables()) {
    std::vector<float> p = p0, buffer(kCount);
    for (int step = 0; step < 2; ++step)
      table->optimizer.sgd({0.1F, 0.9F, 0.01F}, kCount, g.data(), p.data(), buffer.data());
    ExpectNear(p, want, 1e-6, table->instructions);
  }
}

TEST(Ema, MovesTowardsTheParameters) {
  const std::vector<float> p = Floats(kCount, 1), start = Floats(kCount, 2);
  std::vector<double> want(kCount);
  for (size_t i = 0; i < kCount; ++i) want[i] = 0.75 * start[i] + 0.25 * p[i];
  for (const KernelTable* table : Tables()) {
    std::vector<float> average = start;
    table->optimizer.ema(kCount, 0.75, p.data(), average.data());
    ExpectNear(average, want, 1e-6, table->instructions);
  }
}

TEST(SumOfSquares, IsExactToDoubleAndIgnoresThreads) {
  for (const size_t n : {size_t{0}, size_t{1}, size_t{63}, kCount}) {
    const std::vector<float> x = Floats(n, 1);
    double want = 0;
    for (const float v : x) want += static_cast<double>(v) * v;
    for (const KernelTable* table : Tables()) {
      const double got = table->optimizer.sum_of_squares(n, x.data());
      EXPECT_NEAR(got, want, 1e-13 * want) << table->instructions << " " << n;
      const WithThreads scope(3);
      EXPECT_EQ(table->optimizer.sum_of_squares(n, x.data()), got);
    }
  }
}

TEST(ToBf16, RoundsHalfToEvenLikeTheScalarFunction) {
  std::vector<float> x;
  for (const uint32_t upper :
       {0x3f80U, 0x3f81U, 0xbf80U, 0x0001U, 0x7f7fU, 0x7f80U, 0xff80U, 0x7fc0U, 0x7f80U})
    for (const uint32_t lower : {0x0000U, 0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU})
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
  for (const KernelTable* table : Tables()) {
    std::vector<bf16> y(x.size());
    table->optimizer.to_bf16(x.size(), x.data(), y.data());
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_EQ(y[i].bits, FromFloat<bf16>(x[i]).bits) << table->instructions << " " << x[i];
  }
}

constexpr FakeQuantRule kInt6{31, 1.0F / 31, -32, 31};
constexpr FakeQuantRule kInt5{15, 1.0F / 15, -16, 15, 0.9995F};
constexpr FakeQuantRule kSoft{31, 1.0F / 31, -32, 31, 1, 6};

// Rows below and above the floor.
std::vector<float> FakeQuantInput(size_t rows, size_t cols) {
  std::vector<double> values = Randoms(rows * cols, 5);
  for (size_t i = 0; i < values.size(); ++i) values[i] *= i / cols % 3 == 0 ? 0.1 : 2.0;
  return To<float>(values);
}

TEST(FakeQuantise, MatchesTheDefinition) {
  constexpr size_t kRows = 70;
  for (const size_t cols : {1, 37, 512}) {
    for (const FakeQuantRule& rule : {kInt6, kInt5, kSoft}) {
      const std::vector<float> w = FakeQuantInput(kRows, cols), g = FakeQuantInput(kRows, cols);
      std::vector<float> want(w.size()), want_gradient = g;
      ref::FakeQuantise(kRows, cols, rule, w.data(), want.data());
      ref::FakeQuantiseBackward(kRows, cols, kSoft, w.data(), want_gradient.data());
      for (const KernelTable* table : Tables()) {
        std::vector<float> y(w.size()), gradient = g;
        std::vector<bf16> y16(w.size());
        table->optimizer.fake_quantise_f32(kRows, cols, rule, w.data(), y.data());
        table->optimizer.fake_quantise_bf16(kRows, cols, rule, w.data(), y16.data());
        table->optimizer.fake_quantise_backward(kRows, cols, kSoft, w.data(), gradient.data());
        EXPECT_EQ(y, want) << table->instructions;
        EXPECT_EQ(gradient, want_gradient) << table->instructions;
        EXPECT_TRUE(SameBits(y16, To<bf16>(ToDouble(want)))) << table->instructions;
      }
    }
  }
}

TEST(FakeQuantise, SoftRoundingHasItsDerivative) {
  constexpr double kStep = 1e-40;
  for (const double a : {1.0, 6.0, 16.0}) {
    FakeQuantRule rule{31, 1.0F / 31, -32, 31, 1, static_cast<float>(a)};
    // One row with a step of 1/31: w * 31 are the places on the staircase.
    for (const double r : {-3.9, -0.5, -0.01, 0.3, 0.5, 7.75}) {
      const auto w = static_cast<float>(r / 31);
      float gradient = 1;
      ref::FakeQuantiseBackward(1, 1, rule, &w, &gradient);
      const double place = w / rule.floor;
      const double derivative = ref::SoftRound(std::complex(place, kStep), a).imag() / kStep;
      EXPECT_NEAR(gradient, derivative, 1e-6 * derivative) << a << " at " << r;
    }
  }
}

TEST(FakeQuantise, ANanSpoilsItsRowOnly) {
  std::vector<float> w = FakeQuantInput(2, 512), y(w.size());
  for (size_t i = 3; i < 512; i += 7) w[i] = NAN;
  ref::FakeQuantise(2, 512, kInt5, w.data(), y.data());
  EXPECT_TRUE(std::any_of(y.begin(), y.begin() + 512, [](float x) { return std::isnan(x); }));
  EXPECT_TRUE(std::all_of(y.begin() + 512, y.end(), [](float x) { return std::isfinite(x); }));
}

TEST(FakeQuantise, SoftRoundingHoldsNothingBackInsideTheRangeAndAllOutside) {
  FakeQuantRule rule{31, 1.0F / 31, -2, 1, 1, 6};
  const std::vector<float> w = {-0.5F, -0.04F, 0.01F, 0.5F};  // -15.5, -1.24, 0.31, 15.5 steps
  std::vector<float> gradient(4, 1.0F);
  ref::FakeQuantiseBackward(1, 4, rule, w.data(), gradient.data());
  EXPECT_EQ(gradient[0], 0);
  EXPECT_GT(gradient[1], 0);
  EXPECT_GT(gradient[2], 0);
  EXPECT_EQ(gradient[3], 0);
}

}  // namespace
}  // namespace golf
