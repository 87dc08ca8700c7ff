// Projection up, squared ReLU (PR 1232: leaky), per-unit scale and bias where there are any, projection down.
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {

void MlpGolden(const GoldenCase& c) {
  const OpKernels<float>& op = CaseKernels().f32;
  const bool affine = c.Has("params/scale");
  const std::string up_name = c.Has("params/fc.weight") ? "fc.weight" : "up_proj.weight";
  const std::string down_name = c.Has("params/fc.weight") ? "proj.weight" : "down_proj.weight";
  const GoldenTensor up = c.Get("params/" + up_name), down = c.Get("params/" + down_name);
  const std::vector<float> x = c.Get("x").f32(), dout = c.Get("dout").f32();
  const size_t hidden = up.shape()[0];
  const SquaredReluDims dims{x.size() / up.shape()[1], hidden, c.pr == 1232 ? 0.5 : 0.0};
  std::vector<float> scale, bias, dscale(hidden), dbias(hidden);
  if (affine) {
    scale = c.Get("params/scale").f32();
    bias = c.Get("params/bias").f32();
  }
  const float* scale_data = affine ? scale.data() : nullptr;

  const std::vector<float> before = Linear(up, x);
  std::vector<float> after(before.size());
  op.squared_relu_forward(dims, before.data(), scale_data, affine ? bias.data() : nullptr,
                          after.data());
  c.Expect("out", Linear(down, after));

  const LinearGradients from_down = LinearBackward(down, after, dout);
  c.Expect("grads/" + down_name, from_down.dw);
  std::vector<float> dbefore(before.size());
  op.squared_relu_backward(dims, before.data(), scale_data, from_down.dx.data(), {dbefore.data()},
                           affine ? dscale.data() : nullptr, affine ? dbias.data() : nullptr);
  if (affine) {
    c.Expect("grads/scale", dscale);
    c.Expect("grads/bias", dbias);
  }
  const LinearGradients from_up = LinearBackward(up, x, dbefore);
  c.Expect("grads/" + up_name, from_up.dw);
  c.Expect("grad_x", from_up.dx);
}

}  // namespace golf::test
