#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {

void SmearGolden(const GoldenCase& c) {
  const OpKernels<float>& op = CaseKernels().f32;
  const std::vector<size_t> shape = c.Get("x").shape();
  const SmearDims dims{shape[0], shape[1], shape[2]};
  const std::vector<float> x = c.Get("x").f32(), gate = c.Get("params/gate").f32(),
                           dout = c.Get("dout").f32();
  std::vector<float> out(x.size()), dx(x.size()), dgate(gate.size());
  op.smear_forward(dims, x.data(), gate.data(), out.data());
  c.Expect("out", out);
  op.smear_backward(dims, x.data(), gate.data(), dout.data(), {dx.data()}, dgate.data());
  c.Expect("grad_x", dx);
  c.Expect("grads/gate", dgate);
}

}  // namespace golf::test
