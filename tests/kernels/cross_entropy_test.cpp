#include "kernels/cross_entropy.h"

#include "tests/kernels/op_check.h"

namespace golf {
namespace {

struct Case {
  CrossEntropyDims d;
  double spread;  // standard deviation of the logits
  std::vector<double> z = Randoms(d.N * d.V, 3, spread);
  std::vector<int32_t> target = Targets();

  std::vector<int32_t> Targets() const {
    std::vector<int32_t> t(d.N);
    for (size_t n = 0; n < d.N; ++n) t[n] = static_cast<int32_t>(n * 31 % d.V);
    return t;
  }
};

TEST(CrossEntropy, DerivativeMatchesComplexSteps) {
  using C = std::complex<double>;
  const Case c{{3, 7, 5.0}, 6.0};
  std::vector<double> nll(c.d.N), lse(c.d.N), dz(c.z.size());
  ref::CrossEntropyForward(c.d, c.z.data(), c.target.data(), nll.data(), lse.data());
  ref::CrossEntropyBackward(c.d, c.z.data(), c.target.data(), lse.data(), 0.7, dz.data());
  std::vector<C> z = To<C>(c.z), stepped(c.d.N);
  for (size_t i = 0; i < z.size(); ++i) {
    z[i] += C(0, 1e-40);
    ref::CrossEntropyForward<C>(c.d, z.data(), c.target.data(), stepped.data(), nullptr);
    z[i] -= C(0, 1e-40);
    double derivative = 0;
    for (const C& s : stepped) derivative += 0.7 * s.imag() / 1e-40;
    ASSERT_NEAR(dz[i], derivative, 1e-13) << i;
  }
}

// 30 * 2^-24 is the last bit of a capped logit: no nll can be better than that.
TEST(CrossEntropy, KernelsMatchTheDefinition) {
  for (const Case& c : {Case{{5, 37, 30.0}, 3.0}, Case{{40, 1024, 30.0}, 3.0},
                        Case{{10, 1000, 30.0}, 40.0}, Case{{10, 100, 300.0}, 200.0}}) {
    const std::vector<float> z = To<float>(c.z);
    const std::vector<double> exact = ToDouble(z);
    std::vector<double> want(c.d.N), want_lse(c.d.N), want_dz(z.size());
    ref::CrossEntropyForward(c.d, exact.data(), c.target.data(), want.data(), want_lse.data());
    for (const KernelTable* table : Tables()) {
      SCOPED_TRACE(std::string(table->instructions) + ", V = " + std::to_string(c.d.V));
      std::vector<float> nll(c.d.N), lse(c.d.N), dz(z.size());
      table->f32.cross_entropy_forward(c.d, z.data(), c.target.data(), nll.data(), lse.data());
      for (size_t n = 0; n < c.d.N; ++n) {
        EXPECT_NEAR(nll[n], want[n], 1e-6 * std::abs(want[n]) + 1.2e-7 * c.d.softcap) << n;
        EXPECT_NEAR(lse[n], want_lse[n], 1.2e-7 * c.d.softcap) << n;
      }
      std::fill(want_dz.begin(), want_dz.end(), 0.0);
      ref::CrossEntropyBackward(c.d, exact.data(), c.target.data(), ToDouble(lse).data(), 0.125,
                                want_dz.data());
      table->f32.cross_entropy_backward(c.d, z.data(), c.target.data(), lse.data(), 0.125F,
                                        dz.data());
      ExpectNear(dz, want_dz, 1e-7 * c.d.softcap, "dz");
      std::vector<bf16> dz16(z.size());
      table->b16.cross_entropy_backward(c.d, z.data(), c.target.data(), lse.data(), 0.125F,
                                        dz16.data());
      ExpectNear(dz16, want_dz, 1.0 / 250, "dz in bf16");

      const WithThreads scope(3);
      std::vector<float> again(c.d.N), dz_again(z.size());
      table->f32.cross_entropy_forward(c.d, z.data(), c.target.data(), again.data(), nullptr);
      table->f32.cross_entropy_backward(c.d, z.data(), c.target.data(), lse.data(), 0.125F,
                                        dz_again.data());
      EXPECT_TRUE(SameBits(again, nll));
      EXPECT_TRUE(SameBits(dz_again, dz));
    }
  }
}

TEST(CrossEntropy, PropagatesNaN) {
  std::vector<float> z(20, 1.0F), nll(1);
  z[11] = NAN;
  const int32_t target = 3;
  for (const KernelTable* table : Tables()) {
    table->f32.cross_entropy_forward({1, 20, 30.0}, z.data(), &target, nll.data(), nullptr);
    EXPECT_TRUE(std::isnan(nll[0])) << table->instructions;
  }
}

}  // namespace
}  // namespace golf
