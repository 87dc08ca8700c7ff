#include "kernels/xsa.h"

#include "tests/kernels/op_check.h"

namespace golf {
namespace {

struct XsaOp {
  XsaDims d;
  std::vector<size_t> activations{d.N * d.H * d.D, d.N*d.K*d.D}, parameters{};
  size_t outputs = d.N * d.H * d.D;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>&, S* y) const {
    ref::XsaForward(d, x[0].data(), x[1].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>&, const S* dy, Tensors<S>& dx,
                   Tensors<S>&) const {
    ref::XsaBackward(d, x[0].data(), x[1].data(), dy, dx[0].data(), dx[1].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, T* y) const {
    op.xsa_forward(d, x[0].data(), x[1].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>&) const {
    op.xsa_backward(d, x[0].data(), x[1].data(), dy, dx[0], dx[1]);
  }
};

TEST(Xsa, DerivativeMatchesComplexSteps) {
  CheckDerivative(XsaOp{{2, 4, 2, 5}});
  CheckDerivative(XsaOp{{2, 3, 3, 4}});
}

TEST(Xsa, KernelsMatchTheDefinition) {
  CheckKernels(XsaOp{{5, 4, 2, 37}});
  CheckKernels(XsaOp{{90, 8, 4, 64}});
  CheckKernels(XsaOp{{3, 3, 1, 8}});
}

TEST(Xsa, LeavesHeadsAloneWhoseValueIsZero) {
  const XsaDims d{1, 2, 1, 20};
  const std::vector<float> y = To<float>(Randoms(40, 1)), v(20, 0.0F),
                           dout = To<float>(Randoms(40, 2));
  for (const KernelTable* table : Tables()) {
    std::vector<float> out(40), dy(40), dv(20);
    table->f32.xsa_forward(d, y.data(), v.data(), out.data());
    table->f32.xsa_backward(d, y.data(), v.data(), dout.data(), {dy.data()}, {dv.data()});
    EXPECT_EQ(out, y);
    EXPECT_EQ(dy, dout);
    EXPECT_EQ(dv, std::vector<float>(20, 0.0F));
  }
}

}  // namespace
}  // namespace golf
