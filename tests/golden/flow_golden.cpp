// FlowRefiner: sigmoid(gate) Wu (z + W2 gelu(W1 z + b1) + b2), z = Wd x. The case leaves x itself out of the sum.
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

using Floats = std::vector<float>;

// y = x W^T + b and its gradients, named `prefix`weight and `prefix`bias.
class BiasedLinear {
 public:
  BiasedLinear(const GoldenCase& c, const std::string& prefix)
      : case_(c), prefix_(prefix), weight_(c.Get("params/" + prefix + "weight")) {}

  Floats Forward(const Floats& x) {
    x_ = x;
    const Floats product = Linear(weight_, x), bias = case_.Get("params/" + prefix_ + "bias").f32();
    Floats y(product.size());
    CaseKernels().f32.bias_forward({y.size() / bias.size(), bias.size()}, product.data(),
                                   bias.data(), y.data());
    return y;
  }
  Floats Backward(const Floats& dy) const {
    const size_t width = weight_.shape()[0];
    Floats db(width);
    CaseKernels().f32.bias_backward({dy.size() / width, width}, dy.data(), {}, db.data());
    const LinearGradients g = LinearBackward(weight_, x_, dy);
    case_.Expect("grads/" + prefix_ + "bias", db);
    case_.Expect("grads/" + prefix_ + "weight", g.dw);
    return g.dx;
  }

 private:
  const GoldenCase& case_;
  std::string prefix_;
  GoldenTensor weight_;
  Floats x_;
};

Floats Sum(const Floats& a, const Floats& b) {
  Floats y(a.size());
  CaseKernels().f32.add_forward({1, a.size(), false}, a.data(), b.data(), y.data());
  return y;
}

}  // namespace

void FlowGolden(const GoldenCase& c) {
  const OpKernels<float>& op = CaseKernels().f32;
  const GoldenTensor down = c.Get("params/down_proj.weight"), up = c.Get("params/up_proj.weight");
  const Floats x = c.Get("x").f32(), dout = c.Get("dout").f32(), gate = c.Get("params/gate").f32();
  const RowDims rows{x.size() / down.shape()[1], down.shape()[1]};

  BiasedLinear first(c, "velocity_net.0."), second(c, "velocity_net.2.");
  const Floats latent = Linear(down, x), hidden = first.Forward(latent);
  const RowDims hidden_rows{rows.N, hidden.size() / rows.N};
  Floats activated(hidden.size());
  op.gelu_forward(hidden_rows, hidden.data(), activated.data());
  const Floats moved = Sum(latent, second.Forward(activated)), contribution = Linear(up, moved);
  const Floats nothing(x.size());
  Floats out(x.size());
  op.gated_add_forward(rows, nothing.data(), contribution.data(), gate.data(), out.data());
  c.Expect("out", out);

  Floats dcontribution(x.size()), dgate(1), dhidden(hidden.size());
  op.gated_add_backward(rows, contribution.data(), gate.data(), dout.data(), {},
                        {dcontribution.data()}, dgate.data());
  c.Expect("grads/gate", dgate);
  const LinearGradients from_up = LinearBackward(up, moved, dcontribution);
  c.Expect("grads/up_proj.weight", from_up.dw);
  op.gelu_backward(hidden_rows, hidden.data(), second.Backward(from_up.dx).data(),
                   {dhidden.data()});
  const Floats dlatent = Sum(from_up.dx, first.Backward(dhidden));
  const LinearGradients from_down = LinearBackward(down, x, dlatent);
  c.Expect("grads/down_proj.weight", from_down.dw);
  c.Expect("grad_x", from_down.dx);
}

}  // namespace golf::test
