#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {

void XsaGolden(const GoldenCase& c) {
  const OpKernels<float>& op = CaseKernels().f32;
  const std::vector<size_t> shape = c.Get("y").shape();
  const XsaDims dims{shape[0] * shape[1], shape[2], c.Get("v").shape()[2], shape[3]};
  const std::vector<float> y = c.Get("y").f32(), v = c.Get("v").f32(), dout = c.Get("dout").f32();
  std::vector<float> out(y.size()), dy(y.size()), dv(v.size());
  op.xsa_forward(dims, y.data(), v.data(), out.data());
  c.Expect("out", out);
  op.xsa_backward(dims, y.data(), v.data(), dout.data(), {dy.data()}, {dv.data()});
  c.Expect("grad_y", dy);
  c.Expect("grad_v", dv);
}

}  // namespace golf::test
