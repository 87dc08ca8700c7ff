// One linear layer with fake-quantised weights. The gradient passes straight through the quantiser, or through soft rounding.
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

FakeQuantRule RuleOf(const std::string& name, const nlohmann::json& variant) {
  if (name == "int5") return {15, 1.0F / 15, -16, 15, 0.9995F};
  FakeQuantRule rule{31, 1.0F / 31, -32, 31};
  rule.quantile = variant.value("_quant_percentile", 1.0F);
  if (variant.value("_soft_round", false)) rule.sharpness = variant.at("_soft_round_alpha");
  return rule;
}

void Check(const GoldenCase& c, const std::string& name, const FakeQuantRule& rule) {
  const GoldenTensor weight = c.Get("weight");
  const size_t out = weight.shape()[0], in = weight.shape()[1];
  const std::vector<float> w = weight.f32(), x = c.Get("x").f32(), dout = c.Get("dout").f32();
  const size_t rows = x.size() / in;
  const KernelTable& kernels = CaseKernels();
  std::vector<float> quantised(w.size()), y(rows * out), dx(x.size()), dw(w.size());
  kernels.optimizer.fake_quantise_f32(out, in, rule, w.data(), quantised.data());
  WholeProduct(kernels.make_gemm({rows, out, in, false, true}))
      .Run(x.data(), quantised.data(), y.data());
  WholeProduct(kernels.make_gemm({rows, in, out})).Run(dout.data(), quantised.data(), dx.data());
  WholeProduct(kernels.make_gemm({out, in, rows, true, false}))
      .Run(dout.data(), x.data(), dw.data());
  if (rule.sharpness > 0) {
    kernels.optimizer.fake_quantise_backward(out, in, rule, w.data(), dw.data());
  }
  c.Expect(name + "/weight_q", quantised);
  c.Expect(name + "/out", y);
  c.Expect(name + "/grad_x", dx);
  c.Expect(name + "/grad_weight", dw);
}

}  // namespace

void QatGolden(const GoldenCase& c) {
  for (const auto& [name, variant] : c.run().at("variants").items()) {
    Check(c, name, RuleOf(name, variant));
  }
}

}  // namespace golf::test
