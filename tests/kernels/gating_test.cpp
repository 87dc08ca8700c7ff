// The operations with sigmoid gates: smear and gated skip.
#include "kernels/gated_skip.h"
#include "kernels/smear.h"
#include "tests/kernels/op_check.h"

namespace golf {
namespace {

struct SmearOp {
  SmearDims d;
  std::vector<size_t> activations{d.B * d.T * d.C}, parameters{d.C};
  size_t outputs = d.B * d.T * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::SmearForward(d, x[0].data(), w[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    ref::SmearBackward(d, x[0].data(), w[0].data(), dy, dx[0].data(), dw[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, T* y) const {
    op.smear_forward(d, x[0].data(), w[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const {
    op.smear_backward(d, x[0].data(), w[0].data(), dy, dx[0], dw[0]);
  }
};

struct GatedSkipOp {
  GatedSkipDims d;
  std::vector<size_t> activations{d.N * d.C, d.N*d.C}, parameters{d.C, d.C};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::GatedSkipForward(d, x[0].data(), x[1].data(), w[0].data(), w[1].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    ref::GatedSkipBackward(d, x[0].data(), x[1].data(), w[0].data(), w[1].data(), dy, dx[0].data(),
                           dx[1].data(), dw[0].data(), dw[1].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, T* y) const {
    op.gated_skip_forward(d, x[0].data(), x[1].data(), w[0].data(), w[1].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const {
    op.gated_skip_backward(d, x[0].data(), x[1].data(), w[0].data(), w[1].data(), dy, dx[0], dx[1],
                           dw[0], dw[1]);
  }
};

TEST(Smear, DerivativeMatchesComplexSteps) { CheckDerivative(SmearOp{{2, 4, 3}}); }

TEST(Smear, KernelsMatchTheDefinition) {
  CheckKernels(SmearOp{{1, 1, 5}});
  CheckKernels(SmearOp{{3, 7, 37}});
  CheckKernels(SmearOp{{2, 150, 300}});
}

TEST(GatedSkip, DerivativeMatchesComplexSteps) { CheckDerivative(GatedSkipOp{{4, 5}}); }

TEST(GatedSkip, KernelsMatchTheDefinition) {
  CheckKernels(GatedSkipOp{{1, 1}});
  CheckKernels(GatedSkipOp{{9, 37}});
  CheckKernels(GatedSkipOp{{300, 296}});
  CheckKernels(GatedSkipOp{{20, 2100}});  // more columns than a thread sums at once
}

}  // namespace
}  // namespace golf
