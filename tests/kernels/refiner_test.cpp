// The operations of gated attention and FlowRefiner: bias, gate per head, exact GELU, gated addition.
#include "kernels/bias.h"
#include "kernels/gated_add.h"
#include "kernels/gelu.h"
#include "kernels/head_gate.h"
#include "tests/kernels/op_check.h"

namespace golf {
namespace {

struct BiasOp {
  RowDims d;
  std::vector<size_t> activations{d.N * d.C}, parameters{d.C};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::BiasForward(d, x[0].data(), w[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>&, const Tensors<S>&, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    ref::BiasBackward(d, dy, dx[0].data(), dw[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, T* y) const {
    op.bias_forward(d, x[0].data(), w[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>&, const Tensors<float>&, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const {
    op.bias_backward(d, dy, dx[0], dw[0]);
  }
};

struct HeadGateOp {
  HeadGateDims d;
  std::vector<size_t> activations{d.N * d.H * d.D, d.N*d.H}, parameters{};
  size_t outputs = d.N * d.H * d.D;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>&, S* y) const {
    ref::HeadGateForward(d, x[0].data(), x[1].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>&, const S* dy, Tensors<S>& dx,
                   Tensors<S>&) const {
    ref::HeadGateBackward(d, x[0].data(), x[1].data(), dy, dx[0].data(), dx[1].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, T* y) const {
    op.head_gate_forward(d, x[0].data(), x[1].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>&) const {
    op.head_gate_backward(d, x[0].data(), x[1].data(), dy, dx[0], dx[1]);
  }
};

struct GeluOp {
  RowDims d;
  std::vector<size_t> activations{d.N * d.C}, parameters{};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>&, S* y) const {
    ref::GeluForward(d, x[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>&, const S* dy, Tensors<S>& dx,
                   Tensors<S>&) const {
    ref::GeluBackward(d, x[0].data(), dy, dx[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, T* y) const {
    op.gelu_forward(d, x[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>&) const {
    op.gelu_backward(d, x[0].data(), dy, dx[0]);
  }
};

struct GatedAddOp {
  RowDims d;
  std::vector<size_t> activations{d.N * d.C, d.N*d.C}, parameters{1};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::GatedAddForward(d, x[0].data(), x[1].data(), w[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    ref::GatedAddBackward(d, x[1].data(), w[0].data(), dy, dx[0].data(), dx[1].data(),
                          dw[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, T* y) const {
    op.gated_add_forward(d, x[0].data(), x[1].data(), w[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const {
    op.gated_add_backward(d, x[1].data(), w[0].data(), dy, dx[0], dx[1], dw[0]);
  }
};

TEST(Bias, DerivativeMatchesComplexSteps) { CheckDerivative(BiasOp{{4, 5}}); }

TEST(Bias, KernelsMatchTheDefinition) {
  CheckKernels(BiasOp{{1, 1}});
  CheckKernels(BiasOp{{9, 37}});
  CheckKernels(BiasOp{{300, 256}});
}

TEST(HeadGate, DerivativeMatchesComplexSteps) { CheckDerivative(HeadGateOp{{4, 3, 5}}); }

TEST(HeadGate, KernelsMatchTheDefinition) {
  CheckKernels(HeadGateOp{{1, 1, 1}});
  CheckKernels(HeadGateOp{{9, 3, 37}});
  CheckKernels(HeadGateOp{{100, 8, 64}});
}

TEST(Gelu, DerivativeMatchesComplexSteps) { CheckDerivative(GeluOp{{4, 5}}); }

TEST(Gelu, KernelsMatchTheDefinition) {
  CheckKernels(GeluOp{{9, 37}});
  CheckKernels(GeluOp{{100, 256}});
}

TEST(GatedAdd, DerivativeMatchesComplexSteps) { CheckDerivative(GatedAddOp{{4, 5}}); }

TEST(GatedAdd, KernelsMatchTheDefinition) {
  CheckKernels(GatedAddOp{{1, 1}});
  CheckKernels(GatedAddOp{{9, 37}});
  CheckKernels(GatedAddOp{{100, 300}});
}

}  // namespace
}  // namespace golf
