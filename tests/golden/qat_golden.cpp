// One linear layer with fake-quantised weights. The gradient passes straight through the quantiser.
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

// Plain int6 by the row's maximum: what we have. Percentiles, soft rounding and int5 come with PR 1004 and PR 1232.
bool IsPlainInt6(const std::string& name, const nlohmann::json& variant) {
  if (name == "int6") return true;
  return variant.contains("_soft_round") && !variant.at("_soft_round").get<bool>() &&
         variant.at("_quant_percentile").get<double>() == 1.0;
}

void CheckInt6(const GoldenCase& c, const std::string& name) {
  const GoldenTensor weight = c.Get("weight");
  const size_t out = weight.shape()[0], in = weight.shape()[1];
  const std::vector<float> w = weight.f32(), x = c.Get("x").f32(), dout = c.Get("dout").f32();
  const size_t rows = x.size() / in;
  const KernelTable& kernels = CaseKernels();
  std::vector<float> quantised(w.size()), y(rows * out), dx(x.size()), dw(w.size());
  kernels.optimizer.fake_quantise_f32(out, in, 31.0F, 1.0F / 31.0F, -32.0F, 31.0F, w.data(),
                                      quantised.data());
  WholeProduct(kernels.make_gemm({rows, out, in, false, true}))
      .Run(x.data(), quantised.data(), y.data());
  WholeProduct(kernels.make_gemm({rows, in, out})).Run(dout.data(), quantised.data(), dx.data());
  WholeProduct(kernels.make_gemm({out, in, rows, true, false}))
      .Run(dout.data(), x.data(), dw.data());
  c.Expect(name + "/weight_q", quantised);
  c.Expect(name + "/out", y);
  c.Expect(name + "/grad_x", dx);
  c.Expect(name + "/grad_weight", dw);
}

}  // namespace

void QatGolden(const GoldenCase& c) {
  bool all = true;
  for (const auto& [name, variant] : c.run().at("variants").items()) {
    if (IsPlainInt6(name, variant)) {
      CheckInt6(c, name);
    } else {
      all = false;
    }
  }
  if (!all) (void)NotYet(c);
}

}  // namespace golf::test
