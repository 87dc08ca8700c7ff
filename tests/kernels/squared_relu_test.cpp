#include "kernels/squared_relu.h"

#include "tests/kernels/op_check.h"

namespace golf {
namespace {

struct SquaredReluOp {
  SquaredReluDims d;
  bool affine;
  std::vector<size_t> activations{d.N * d.F};
  std::vector<size_t> parameters = affine ? std::vector<size_t>{d.F, d.F} : std::vector<size_t>{};
  size_t outputs = d.N * d.F;

  template <class S>
  static const S* Data(const Tensors<S>& w, size_t i) {
    return w.empty() ? nullptr : w[i].data();
  }
  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::SquaredReluForward(d, x[0].data(), Data(w, 0), Data(w, 1), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    ref::SquaredReluBackward(d, x[0].data(), Data(w, 0), dy, dx[0].data(),
                             affine ? dw[0].data() : nullptr, affine ? dw[1].data() : nullptr);
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, T* y) const {
    op.squared_relu_forward(d, x[0].data(), Data(w, 0), Data(w, 1), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const {
    op.squared_relu_backward(d, x[0].data(), Data(w, 0), dy, dx[0], affine ? dw[0] : nullptr,
                             affine ? dw[1] : nullptr);
  }
};

TEST(SquaredRelu, DerivativeMatchesComplexSteps) {
  for (const double slope : {0.0, 0.5})
    for (const bool affine : {false, true}) CheckDerivative(SquaredReluOp{{4, 5, slope}, affine});
}

TEST(SquaredRelu, KernelsMatchTheDefinition) {
  for (const double slope : {0.0, 0.5})
    for (const bool affine : {false, true}) {
      CheckKernels(SquaredReluOp{{7, 37, slope}, affine});
      CheckKernels(SquaredReluOp{{200, 296, slope}, affine});
    }
}

}  // namespace
}  // namespace golf
