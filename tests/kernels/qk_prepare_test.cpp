#include "kernels/qk_prepare.h"

#include "kernels/rope.h"
#include "tests/kernels/op_check.h"

namespace golf {
namespace {

// Rows take the positions 0, 1, .. T-1, 0, 1, ..
struct QkPrepareOp {
  QkPrepareDims d;
  size_t T;
  bool has_gain;
  std::vector<size_t> activations{d.N * d.H * d.D};
  std::vector<size_t> parameters = has_gain ? std::vector<size_t>{d.H} : std::vector<size_t>{};
  size_t outputs = d.N * d.H * d.D;
  RopeTables tables = MakeRopeTables(T, {static_cast<uint32_t>(d.R), 10000.0, 0, false});
  std::vector<int32_t> position = Positions();

  std::vector<int32_t> Positions() const {
    std::vector<int32_t> p(d.N);
    for (size_t n = 0; n < d.N; ++n) p[n] = static_cast<int32_t>(n % T);
    return p;
  }
  template <class S>
  std::vector<S> Table(const std::vector<float>& t) const {
    return {t.begin(), t.end()};
  }
  template <class S>
  const S* Gain(const Tensors<S>& w) const {
    return has_gain ? w[0].data() : nullptr;
  }
  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::QkPrepareForward(d, x[0].data(), Gain(w), Table<S>(tables.cos).data(),
                          Table<S>(tables.sin).data(), position.data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    std::vector<S> scratch(2 * d.D);
    ref::QkPrepareBackward(d, x[0].data(), Gain(w), Table<S>(tables.cos).data(),
                           Table<S>(tables.sin).data(), position.data(), dy, dx[0].data(),
                           has_gain ? dw[0].data() : nullptr, scratch.data());
  }
  template <class T_>
  void Forward(const OpKernels<T_>& op, const Tensors<T_>& x, const Tensors<float>& w,
               T_* y) const {
    op.qk_prepare_forward(d, x[0].data(), Gain(w), tables.cos.data(), tables.sin.data(),
                          position.data(), y);
  }
  template <class T_>
  void Backward(const OpKernels<T_>& op, const Tensors<T_>& x, const Tensors<float>& w,
                const T_* dy, const std::vector<Grad<T_>>& dx,
                const std::vector<float*>& dw) const {
    op.qk_prepare_backward(d, x[0].data(), Gain(w), tables.cos.data(), tables.sin.data(),
                           position.data(), dy, dx[0], has_gain ? dw[0] : nullptr);
  }
};

TEST(QkPrepare, DerivativeMatchesComplexSteps) {
  for (const bool gain : {false, true}) CheckDerivative(QkPrepareOp{{4, 2, 6, 4, 1e-3}, 3, gain});
}

TEST(QkPrepare, KernelsMatchTheDefinition) {
  for (const bool gain : {false, true}) {
    CheckKernels(QkPrepareOp{{5, 3, 10, 6, 1.1920929e-7}, 5, gain});
    CheckKernels(QkPrepareOp{{5, 3, 9, 0, 1.1920929e-7}, 5, gain});
    CheckKernels(QkPrepareOp{{90, 8, 64, 16, 1.1920929e-7}, 45, gain});
    CheckKernels(QkPrepareOp{{33, 2, 48, 48, 1.1920929e-7}, 33, gain});
  }
}

TEST(Rope, RescalesTheBaseOfLongWindows) {
  // Angles at position 1 are the frequencies themselves; values of PR 598's runs.
  const std::vector<double> frequencies = {1,           .28641495,   .08203353,    .023495633,
                                           .0067295013, .0019274298, .00055204472, .00015811388};
  const RopeTables t = MakeRopeTables(2048, {16, 10000.0, 1024, true});
  for (size_t j = 0; j < 8; ++j)
    EXPECT_NEAR(t.sin[8 + j], std::sin(frequencies[j]), 2e-7 * frequencies[j]);
}

TEST(Rope, RoundsFrequenciesToBf16WhereAsked) {
  const std::vector<double> frequencies = {1,
                                           0.31640625,
                                           0.10009765625,
                                           0.03173828125,
                                           0.010009765625,
                                           0.0031585693359375,
                                           0.00099945068359375,
                                           0.000316619873046875};
  const RopeTables t = MakeRopeTables(2048, {16, 10000.0, 2048, true});
  for (size_t j = 0; j < 8; ++j) {
    EXPECT_FLOAT_EQ(t.sin[8 + j], static_cast<float>(std::sin(frequencies[j])));
    EXPECT_NEAR(t.cos[2047 * 8 + j], std::cos(2047 * frequencies[j]), 1e-4);
  }
}

}  // namespace
}  // namespace golf
