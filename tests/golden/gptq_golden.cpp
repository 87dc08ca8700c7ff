// GPTQ as PR 1004 published it (mode kReference) with a given Hessian: column order, inverse, steps, codes, output errors.
// The default mode has to do better.
#include <gtest/gtest.h>

#include "artifact/gptq.h"
#include "tests/golden/kinds.h"

namespace golf::test {

void GptqGolden(const GoldenCase& c) {
  const GoldenTensor weights = c.Get("W");
  const std::vector<float> w = weights.f32(), hessian = c.Get("H").f32();
  const std::vector<uint32_t> shape(weights.shape().begin(), weights.shape().end());
  const TensorView tensor{"W", shape, w};
  const auto& run = c.run().at("kwargs");
  GptqSettings settings{GptqMode::kReference, run.at("percdamp"), run.at("block_size")};
  const int range = run.at("clip_range");
  const QuantiserSettings rows = quantisers::Pr1004Rows(-range, range);

  const ColumnFeedback feedback = MakeColumnFeedback(hessian, settings);
  c.ExpectInts("perm", std::vector<int32_t>(feedback.order.begin(), feedback.order.end()));
  if (c.Has("hinv")) c.Expect("hinv", feedback.factor);
  const auto encoded = QuantiseWithFeedback(tensor, rows, feedback);
  ASSERT_TRUE(encoded.ok()) << encoded.status().message();
  const std::vector<int32_t> codes(encoded->codes().begin(), encoded->codes().end());
  c.ExpectInts("q", codes);
  EXPECT_EQ(codes, c.Get("q").i32()) << "the manifest allows more, but there is no need";
  c.Expect("scale", encoded->ScalesAsFloat());
  std::vector<float> stored(w.size());
  Dequantise(*encoded, stored);
  c.Expect("deq", stored);
  const double published = OutputError(tensor, *encoded, hessian);
  c.ExpectScalar("err_gptq", published);
  const auto nearest = Quantise(tensor, rows);
  ASSERT_TRUE(nearest.ok()) << nearest.status().message();
  c.ExpectScalar("err_naive", OutputError(tensor, *nearest, hessian));

  settings.mode = GptqMode::kCholesky;
  const auto ours = QuantiseWithFeedback(tensor, rows, MakeColumnFeedback(hessian, settings));
  ASSERT_TRUE(ours.ok()) << ours.status().message();
  EXPECT_LT(OutputError(tensor, *ours, hessian), published);
}

}  // namespace golf::test
