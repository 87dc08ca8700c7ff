#include "artifact/gptq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "artifact/hessians.h"
#include "artifact/packing.h"
#include "artifact/prune.h"
#include "artifact/tensor_encoder.h"
#include "kernels/threads.h"
#include "tests/artifact/correlated.h"

namespace golf::test {
namespace {

const QuantiserSettings kInt5 = quantisers::BestRows(-15, 15);

double ErrorOf(const TensorView& w, const QuantiserSettings& settings, const GptqSettings& gptq,
               std::span<const float> hessian) {
  const auto encoded = QuantiseWithFeedback(w, settings, MakeColumnFeedback(hessian, gptq));
  EXPECT_TRUE(encoded.ok());
  EXPECT_TRUE(CheckEncodedTensor(*encoded).ok());
  return OutputError(w, *encoded, hessian);
}

// Optimal brain quantisation, straight from its definition, in double: each column is chosen, its error goes to the
// remaining ones by the inverse of the Hessian that is left of them, and then it is struck out of that inverse.
std::vector<int> NaiveCodes(const TensorView& w, std::span<const float> hessian, double damping,
                            const QuantiserSettings& settings) {
  const auto n = static_cast<Eigen::Index>(w.shape[1]);
  Eigen::MatrixXd h(n, n);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < n; ++j)
      h(i, j) = static_cast<double>(hessian[static_cast<size_t>(i * n + j)]);
  }
  const double mean = h.diagonal().mean();
  std::vector<Eigen::Index> order(static_cast<size_t>(n));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Eigen::Index>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](Eigen::Index a, Eigen::Index b) { return h(a, a) > h(b, b); });
  h.diagonal().array() += damping * mean;
  QuantiserSettings per_row = settings;
  per_row.choice = ClipChoice::kPerRow;
  const RowSteps steps = *ChooseSteps(w, per_row);
  std::vector<int> codes(w.data.size());
  for (size_t r = 0; r < w.shape[0]; ++r) {
    std::vector<double> row(w.data.begin() + static_cast<ptrdiff_t>(r * w.shape[1]),
                            w.data.begin() + static_cast<ptrdiff_t>((r + 1) * w.shape[1]));
    Eigen::MatrixXd inverse = h.inverse();
    const auto step = static_cast<double>(steps.steps[r]);
    for (size_t at = 0; at < order.size(); ++at) {
      const Eigen::Index j = order[at];
      const double code = std::clamp<double>(std::nearbyint(row[static_cast<size_t>(j)] / step),
                                             settings.encoding.lowest, settings.encoding.highest);
      codes[r * w.shape[1] + static_cast<size_t>(j)] = static_cast<int>(code);
      const double e = (row[static_cast<size_t>(j)] - code * step) / inverse(j, j);
      for (size_t k = at + 1; k < order.size(); ++k)
        row[static_cast<size_t>(order[k])] -= e * inverse(j, order[k]);
      inverse -= (inverse.col(j) * inverse.row(j) / inverse(j, j)).eval();
    }
  }
  return codes;
}

TEST(Gptq, TheCholeskyFormEqualsStrikingOutOneColumnAfterAnother) {
  for (const uint32_t width : {1U, 7U, 40U, 70U}) {
    const Correlated sample(9, width, width);
    const auto encoded =
        QuantiseWithFeedback(sample.view(), kInt5, MakeColumnFeedback(sample.hessian, {}));
    ASSERT_TRUE(encoded.ok());
    const std::vector<int> codes(encoded->codes().begin(), encoded->codes().end());
    EXPECT_EQ(codes, NaiveCodes(sample.view(), sample.hessian, 0.01, kInt5)) << width;
  }
}

TEST(Gptq, HasLessOutputErrorThanNearestCodesAndThanTheReference) {
  const Correlated sample(40, 300, 5);
  for (const int highest : {7, 15, 31, 127}) {
    const QuantiserSettings settings = quantisers::BestRows(-highest, highest);
    const double nearest =
        OutputError(sample.view(), *Quantise(sample.view(), settings), sample.hessian);
    const double ours = ErrorOf(sample.view(), settings, {}, sample.hessian);
    const double published =
        ErrorOf(sample.view(), settings, {GptqMode::kReference}, sample.hessian);
    EXPECT_LT(ours, 0.6 * nearest) << highest;
    EXPECT_LT(ours, published) << highest;
  }
}

TEST(Gptq, BlocksChangeRoundingOnly) {
  const Correlated sample(30, 200, 3);
  const double whole =
      ErrorOf(sample.view(), kInt5, {GptqMode::kCholesky, 0.01, 200}, sample.hessian);
  for (const size_t block : {1, 16, 64, 128}) {
    EXPECT_NEAR(ErrorOf(sample.view(), kInt5, {GptqMode::kCholesky, 0.01, block}, sample.hessian),
                whole, 0.01 * whole);
  }
}

TEST(Gptq, WithoutCorrelationItIsRoundToNearest) {
  const Correlated sample(8, 64, 1);
  std::vector<float> identity(64 * 64);
  for (size_t i = 0; i < 64; ++i) identity[i * 64 + i] = 2;
  QuantiserSettings per_row = kInt5;
  per_row.choice = ClipChoice::kPerRow;
  EXPECT_EQ(*QuantiseWithFeedback(sample.view(), kInt5, MakeColumnFeedback(identity, {})),
            *Quantise(sample.view(), per_row));
}

TEST(Gptq, DoesNotDependOnThreads) {
  const Correlated sample(300, 260, 4);
  const int threads = Threads();
  SetThreads(1);
  const auto one =
      *QuantiseWithFeedback(sample.view(), kInt5, MakeColumnFeedback(sample.hessian, {}));
  const double error = OutputError(sample.view(), one, sample.hessian);
  SetThreads(3);
  const auto three =
      *QuantiseWithFeedback(sample.view(), kInt5, MakeColumnFeedback(sample.hessian, {}));
  EXPECT_EQ(one, three);
  EXPECT_EQ(error, OutputError(sample.view(), three, sample.hessian));
  SetThreads(threads);
}

// Whatever a file of Hessians may hold, as long as it is finite and symmetric: codes within their range come out.
TEST(Gptq, SurvivesHessiansThatAreNone) {
  const Correlated sample(6, 20, 8);
  const auto with = [&](const auto& set) {
    std::vector<float> h(400);
    for (size_t i = 0; i < 20; ++i) {
      for (size_t j = 0; j < 20; ++j) h[i * 20 + j] = set(i, j);
    }
    for (const GptqMode mode : {GptqMode::kCholesky, GptqMode::kReference})
      (void)ErrorOf(sample.view(), kInt5, {mode}, h);
  };
  with([](size_t, size_t) { return 0.0F; });
  with([](size_t i, size_t j) { return i == j && i > 3 ? 1.0F : 0.0F; });  // inputs never seen
  with([](size_t, size_t) { return 1.0F; });                               // one direction only
  with([](size_t i, size_t j) { return i == j ? 0.0F : 1.0F; });           // indefinite
  with([](size_t i, size_t j) { return i == j ? 1e38F : -1e38F; });
  with([](size_t i, size_t j) { return i == j ? 1e-38F : 0.0F; });
}

// Nearly zero rows, huge ones, Hessians of any size: steps and errors stay within the range of float.
TEST(Gptq, CodesWeightsOfAnySize) {
  const Correlated sample(4, 40, 8);
  for (const float size : {1e-45F, 1e-38F, 1e-20F, 1e-8F, 1.0F, 1e6F, 1e20F, 3e38F}) {
    std::vector<float> weights = sample.weights;
    for (size_t j = 0; j < 40; ++j)
      weights[40 + j] = std::clamp(weights[40 + j], -1.0F, 1.0F) * size;
    const TensorView w{"m", sample.shape, weights};
    for (const float scale : {1e-30F, 1.0F, 1e30F}) {
      std::vector<float> hessian = sample.hessian;
      for (float& h : hessian) h *= scale;
      for (const GptqMode mode : {GptqMode::kCholesky, GptqMode::kReference}) {
        const auto encoded = QuantiseWithFeedback(w, kInt5, MakeColumnFeedback(hessian, {mode}));
        ASSERT_TRUE(encoded.ok());
        EXPECT_TRUE(CheckEncodedTensor(*encoded).ok());
        // The other rows do not notice.
        std::vector<float> stored(weights.size());
        Dequantise(*encoded, stored);
        if (mode == GptqMode::kReference) continue;
        for (size_t j = 80; j < 120; ++j) EXPECT_NEAR(stored[j], weights[j], 0.2) << size;
      }
    }
  }
}

TEST(Gptq, APowerOfTwoChangesNoCode) {
  const Correlated sample(30, 60, 3);
  const ColumnFeedback feedback = MakeColumnFeedback(sample.hessian, {});
  QuantiserSettings settings = kInt5;
  settings.encoding.scale_type = ScaleType::kFloat32;
  settings.clip_fractions = {1.0};
  const EncodedTensor plain = *QuantiseWithFeedback(sample.view(), settings, feedback);
  for (const float factor : {0x1p-90F, 0x1p-9F, 0x1p14F, 0x1p110F}) {
    std::vector<float> weights = sample.weights;
    for (float& x : weights) x *= factor;
    const auto scaled = QuantiseWithFeedback({"m", sample.shape, weights}, settings, feedback);
    ASSERT_TRUE(scaled.ok());
    EXPECT_TRUE(std::ranges::equal(scaled->codes(), plain.codes())) << factor;
  }
}

TEST(Gptq, OutputErrorWithoutAHessianIsTheSquaredErrorOfTheWeights) {
  const Correlated sample(5, 16, 2);
  const EncodedTensor encoded = *Quantise(sample.view(), kInt5);
  std::vector<float> stored(sample.weights.size());
  Dequantise(encoded, stored);
  double want = 0, energy = 0;
  for (size_t i = 0; i < stored.size(); ++i) {
    want += std::pow(double{sample.weights[i]} - double{stored[i]}, 2);
    energy += std::pow(double{sample.weights[i]}, 2);
  }
  EXPECT_NEAR(OutputError(sample.view(), encoded, {}), want, 1e-6 * want);
  EXPECT_NEAR(OutputEnergy(sample.view(), {}), energy, 1e-6 * energy);
}

TEST(Gptq, MakesUpForPrunedWeightsWhichStayZero) {
  const Correlated sample(40, 120, 6);
  const std::vector<float> pruned = Pruned(sample.weights, 0.3);
  const TensorView left{"m", sample.shape, pruned};
  const ColumnFeedback feedback = MakeColumnFeedback(sample.hessian, {});
  const EncodedTensor without = *QuantiseWithFeedback(left, kInt5, feedback);
  const EncodedTensor with = *QuantiseWithFeedback(left, kInt5, feedback, sample.weights);
  for (size_t i = 0; i < pruned.size(); ++i) {
    EXPECT_TRUE(pruned[i] != 0 || with.codes()[i] == 0) << i;
  }
  EXPECT_LT(OutputError(sample.view(), with, sample.hessian),
            0.5 * OutputError(sample.view(), without, sample.hessian));
}

TEST(Gptq, RefusesWhatCannotBeQuantised) {
  Correlated sample(4, 8, 3);
  sample.weights[5] = NAN;
  const auto encoded =
      QuantiseWithFeedback(sample.view(), kInt5, MakeColumnFeedback(sample.hessian, {}));
  EXPECT_EQ(encoded.status().code(), Code::kBadNumbers);
}

// Of a network: two matrices share a Hessian, one has none, one has one of another width; a vector and floats have no use
// for one, and the published form none for a table.
TEST(Gptq, TakesTheMatricesItHasHessiansOf) {
  const Correlated a(40, 60, 1), b(30, 60, 2);
  const std::vector<uint32_t> width = {60};
  const std::vector<float> row(a.weights.begin(), a.weights.begin() + 60), zeros(60);
  const std::vector<TensorView> tensors = {
      {"q", a.shape, a.weights},       {"k", b.shape, b.weights},
      {"unknown", a.shape, a.weights}, {"foreign", a.shape, a.weights},
      {"table", a.shape, a.weights},   {"vector", width, row},
      {"zeros", width, zeros},         {"float", width, row}};
  constexpr size_t kAny = PackingRule().max_elements;
  const Packing packing{
      "p",
      {{kAny, {"float"}, Storage::kFloat16}, {kAny, {"table"}, kInt5, false}, {kAny, {}, kInt5}}};
  HessianSet hessians;
  const auto shared = std::make_shared<const std::vector<float>>(a.hessian);
  for (const char* name : {"q", "k", "table", "vector", "float"}) hessians.by_weight[name] = shared;
  hessians.by_weight["foreign"] = std::make_shared<const std::vector<float>>(std::vector<float>(4));

  for (const GptqMode mode : {GptqMode::kCholesky, GptqMode::kReference}) {
    const EncodeOptions options{&hessians, {mode}, 0.2};
    std::vector<GptqGain> gains;
    const auto encoded = EncodeTensors(packing, tensors, options, &gains);
    ASSERT_TRUE(encoded.ok()) << encoded.status().message();
    const bool tables = mode != GptqMode::kReference;
    ASSERT_EQ(gains.size(), tables ? 3U : 2U);
    EXPECT_EQ(gains[0].name, "q");
    EXPECT_EQ(gains[1].name, "k");
    EXPECT_LT(gains[0].chosen, gains[0].nearest);
    EXPECT_EQ(gains[0].chosen == gains[0].reference, mode == GptqMode::kReference);
    const auto nearest = EncodeTensors(packing, tensors, {nullptr, {}, 0.2});
    for (size_t i = 0; i < tensors.size(); ++i)
      EXPECT_EQ((*encoded)[i] == (*nearest)[i], i >= 2 && !(i == 4 && tables)) << tensors[i].name;
    EXPECT_EQ(TensorEncoder(packing, tensors, options).ErrorShare(6, (*encoded)[6]), 0);
  }
}

// PR 1004 rounded its tables although it pruned them.
TEST(Gptq, MakesUpForPrunedTablesWhereTheReferenceDoesNot) {
  const Correlated sample(1100, 64, 8);
  const TensorView table{"tok_emb.weight", sample.shape, sample.weights};
  HessianSet hessians;
  hessians.by_weight["tok_emb.weight"] = std::make_shared<const std::vector<float>>(sample.hessian);
  EncodeOptions options{&hessians, {}, 0.1};
  const auto error = [&] {
    const auto encoded = EncodeTensors(*FindPacking("pr1004"), {&table, 1}, options);
    EXPECT_TRUE(encoded.ok());
    return OutputError(table, encoded->front(), sample.hessian);
  };
  const double ours = error();
  options.gptq.mode = GptqMode::kReference;
  const double reference = error();
  options.hessians = nullptr;
  EXPECT_EQ(reference, error());
  EXPECT_LT(ours, 0.5 * reference);
}

TEST(Prune, DropsWhatIsStrictlyBelowTheQuantile) {
  const std::vector<float> w = {-4, 1, -3, 2, 0.5F};
  EXPECT_THAT(Pruned(w, 0), testing::ElementsAreArray(w));
  EXPECT_THAT(Pruned(w, 0.5), testing::ElementsAre(-4, 0, -3, 2, 0));
  const std::vector<float> mostly_zero = {0, 0, 0, 1};
  EXPECT_THAT(Pruned(mostly_zero, 0.5), testing::ElementsAreArray(mostly_zero));
}

}  // namespace
}  // namespace golf::test
