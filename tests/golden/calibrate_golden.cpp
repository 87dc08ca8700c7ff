// Hessians of all linear layers from calibration text: PR 1004 reads samples of length + 1 tokens and leaves the last of each.
#include <gtest/gtest.h>

#include "kernels/table.h"
#include "runtime/calibrate.h"
#include "schemas/program_generated.h"
#include "tests/golden/kinds.h"
#include "tests/support/golden_weights.h"
#include "tests/support/network_config.h"

namespace golf::test {

void CalibrateGolden(const GoldenCase& c) {
  const auto& run = c.run().at("kwargs");
  const size_t samples = run.at("n_samples"), length = run.at("seq_len");
  const auto program =
      BuildNetwork(NetworkConfigFromManifest(c.config(), static_cast<uint32_t>(length), c.run()));
  const TensorSet weights = LoadGoldenWeights(c, "params/", *program);
  const std::vector<int32_t> tokens = c.Get("train_tokens").i32();
  std::vector<int32_t> ids;
  for (size_t s = 0; s < samples; ++s) {
    for (size_t i = 0; i < length; ++i) ids.push_back(tokens.at(s * (length + 1) + i));
  }
  const auto hessians =
      CollectHessians(**CpuKernels(), *program, weights, ids, {length, 2, Precision::kFp32});
  ASSERT_TRUE(hessians.ok()) << hessians.status().message();
  for (const auto& [module, shape] : c.info().at("modules").items()) {
    const std::span<const float> h = hessians->Find(module + ".weight");
    const size_t width = shape.at(0);
    ASSERT_EQ(h.size(), width * width) << module;
    double trace = 0;
    for (size_t i = 0; i < width; ++i) trace += static_cast<double>(h[i * width + i]);
    c.ExpectScalar("trace/" + module, trace);
    if (c.Has("hessian/" + module)) c.Expect("hessian/" + module, h);
  }
}

}  // namespace golf::test
