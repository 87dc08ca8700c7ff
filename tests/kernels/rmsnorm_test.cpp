#include "kernels/rmsnorm.h"

#include "tests/kernels/op_check.h"

namespace golf {
namespace {

struct RmsNormOp {
  RmsNormDims d;
  std::vector<size_t> activations{d.N * d.C}, parameters{};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>&, S* y) const {
    ref::RmsNormForward(d, x[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>&, const S* dy, Tensors<S>& dx,
                   Tensors<S>&) const {
    ref::RmsNormBackward(d, x[0].data(), dy, dx[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, T* y) const {
    op.rmsnorm_forward(d, x[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>&) const {
    op.rmsnorm_backward(d, x[0].data(), dy, dx[0]);
  }
};

TEST(RmsNorm, DerivativeMatchesComplexSteps) { CheckDerivative(RmsNormOp{{3, 7, 0.5, 1e-3}}); }

TEST(RmsNorm, KernelsMatchTheDefinition) {
  CheckKernels(RmsNormOp{{1, 3, 1.0, 1.1920929e-7}});
  CheckKernels(RmsNormOp{{5, 37, 0.25, 1.1920929e-7}});
  CheckKernels(RmsNormOp{{70, 512, 1.0, 1.1920929e-7}});
}

TEST(RmsNorm, KeepsZeroRowsFinite) {
  const std::vector<float> x(8, 0.0F);
  for (const KernelTable* table : Tables()) {
    std::vector<float> y(8, NAN);
    table->f32.rmsnorm_forward({1, 8, 1.0, 1.1920929e-7}, x.data(), y.data());
    EXPECT_EQ(y, x);
  }
}

}  // namespace
}  // namespace golf
