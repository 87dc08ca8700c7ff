#include "kernels/elementwise.h"

#include "tests/kernels/op_check.h"

namespace golf {
namespace {

struct AddOp {
  ElementwiseDims d;
  std::vector<size_t> activations{d.N * d.C, d.N*d.C}, parameters{};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>&, S* y) const {
    ref::AddForward(d, x[0].data(), x[1].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>&, const Tensors<S>&, const S* dy, Tensors<S>& dx,
                   Tensors<S>&) const {
    ref::AddBackward(d, dy, dx[0].data(), dx[1].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>&, T* y) const {
    op.add_forward(d, x[0].data(), x[1].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>&, const Tensors<float>&, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>&) const {
    op.add_backward(d, dy, dx[0], dx[1]);
  }
};

struct ScaleOp {
  ElementwiseDims d;
  std::vector<size_t> activations{d.N * d.C}, parameters{d.scalar ? 1 : d.C};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::ScaleForward(d, x[0].data(), w[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    ref::ScaleBackward(d, x[0].data(), w[0].data(), dy, dx[0].data(), dw[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, T* y) const {
    op.scale_forward(d, x[0].data(), w[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const {
    op.scale_backward(d, x[0].data(), w[0].data(), dy, dx[0], dw[0]);
  }
};

struct ScaledAddOp {
  ElementwiseDims d;
  std::vector<size_t> activations{d.N * d.C, d.N*d.C}, parameters{d.scalar ? 1 : d.C};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::ScaledAddForward(d, x[0].data(), x[1].data(), w[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    ref::ScaledAddBackward(d, x[1].data(), w[0].data(), dy, dx[0].data(), dx[1].data(),
                           dw[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, T* y) const {
    op.scaled_add_forward(d, x[0].data(), x[1].data(), w[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const {
    op.scaled_add_backward(d, x[1].data(), w[0].data(), dy, dx[0], dx[1], dw[0]);
  }
};

struct MixOp {
  ElementwiseDims d;
  std::vector<size_t> activations{d.N * d.C, d.N*d.C}, parameters{d.scalar ? 2 : 2 * d.C};
  size_t outputs = d.N * d.C;

  template <class S>
  void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const {
    ref::MixForward(d, x[0].data(), x[1].data(), w[0].data(), y);
  }
  template <class S>
  void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
                   Tensors<S>& dw) const {
    ref::MixBackward(d, x[0].data(), x[1].data(), w[0].data(), dy, dx[0].data(), dx[1].data(),
                     dw[0].data());
  }
  template <class T>
  void Forward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, T* y) const {
    op.mix_forward(d, x[0].data(), x[1].data(), w[0].data(), y);
  }
  template <class T>
  void Backward(const OpKernels<T>& op, const Tensors<T>& x, const Tensors<float>& w, const T* dy,
                const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const {
    op.mix_backward(d, x[0].data(), x[1].data(), w[0].data(), dy, dx[0], dx[1], dw[0]);
  }
};

template <class Op>
class Elementwise : public testing::Test {};
using Operations = testing::Types<AddOp, ScaleOp, ScaledAddOp, MixOp>;
TYPED_TEST_SUITE(Elementwise, Operations);

TYPED_TEST(Elementwise, DerivativeMatchesComplexSteps) {
  CheckDerivative(TypeParam{{4, 5, false}});
  CheckDerivative(TypeParam{{4, 5, true}});
}

TYPED_TEST(Elementwise, KernelsMatchTheDefinition) {
  for (const bool scalar : {false, true}) {
    CheckKernels(TypeParam{{1, 1, scalar}});
    CheckKernels(TypeParam{{9, 37, scalar}});
    CheckKernels(TypeParam{{300, 296, scalar}});
  }
}

}  // namespace
}  // namespace golf
