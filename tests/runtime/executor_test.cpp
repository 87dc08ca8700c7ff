#include "runtime/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "kernels/table.h"
#include "kernels/threads.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "trainer/network.h"

namespace golf {
namespace {

constexpr uint32_t kWindow = 96;

// The family of PR 598, or with what PR 1232 has instead.
enum class Family { kPr598, kPr1232 };

NetworkConfig SmallConfig(Family family = Family::kPr598) {
  NetworkConfig c;
  if (family == Family::kPr1232) {
    c.weight_names = WeightNames::kPr1004;
    c.mlp_affine = c.gated_skips = c.ve_enabled = false;
    c.mlp_negative_slope = 0.5;
    c.value_residual = c.gated_attention = true;
    c.flow_latent_dim = 12;
    c.flow_hidden_dim = 20;
  }
  c.window = kWindow;
  c.vocab_size = 64;
  c.num_layers = 5;
  c.model_dim = 64;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.mlp_hidden = 80;
  c.rope_dims = 8;
  c.rope_train_seq_len = 48;
  c.bigram_buckets = 32;
  c.bigram_embed_dim = 16;
  c.xsa_last_n = 2;
  c.ve_dim = 16;
  c.ve_layers = {3, 4};
  return c;
}

std::vector<int32_t> RandomTokens(size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& t : tokens) t = static_cast<int32_t>(rng() % 64);
  return tokens;
}

class ExecutorTest : public testing::TestWithParam<std::tuple<Precision, Family>> {
 protected:
  ExecutorTest()
      : program_(BuildNetwork(SmallConfig(std::get<Family>(GetParam())))),
        weights_(*program_),
        kernels_(*CpuKernels()) {
    std::mt19937 rng(7);
    std::normal_distribution<float> normal(0.0F, 0.15F);
    for (size_t i = 0; i < weights_.count(); ++i) {
      const bool matrix = weights_.shape(i).size() == 2 && weights_.name(i).ends_with(".weight");
      for (float& w : weights_[i]) w = normal(rng) + (matrix ? 0.0F : 0.7F);
    }
  }

  static Precision precision() { return std::get<Precision>(GetParam()); }
  void ExpectDerivativeOfTheLoss(double focal_gamma);
  bool unread(size_t weight) const { return program_->weights[weight]->unread; }
  std::unique_ptr<Executor> Make(Mode mode, size_t batch, size_t scored_rows = 0,
                                 std::vector<bool> trainable = {}) {
    auto executor = Executor::Create(*kernels_, *program_, weights_,
                                     {.mode = mode,
                                      .precision = precision(),
                                      .batch = batch,
                                      .length = kWindow,
                                      .scored_rows = scored_rows,
                                      .trainable = std::move(trainable)});
    EXPECT_TRUE(executor.ok()) << executor.status().message();
    return std::move(*executor);
  }

  std::unique_ptr<schema::ProgramT> program_;
  TensorSet weights_;
  const KernelTable* kernels_;
};

INSTANTIATE_TEST_SUITE_P(Networks, ExecutorTest,
                         testing::Combine(testing::Values(Precision::kFp32, Precision::kBf16),
                                          testing::Values(Family::kPr598, Family::kPr1232)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param) == Precision::kFp32 ? "fp32"
                                                                                       : "bf16") +
                                  (std::get<1>(p.param) == Family::kPr598 ? "_pr598" : "_pr1232");
                         });

TEST_P(ExecutorTest, APassThatNoMachineCanHoldIsAnErrorWithItsSize) {
  const auto executor = Executor::Create(*kernels_, *program_, weights_,
                                         {.mode = Mode::kScore,
                                          .precision = precision(),
                                          .batch = size_t{1} << 26,
                                          .length = kWindow});
  ASSERT_FALSE(executor.ok());
  EXPECT_EQ(executor.status().code(), Code::kIo);
  EXPECT_THAT(executor.status().message(), testing::HasSubstr("smaller batch"));
}

TEST_P(ExecutorTest, ScoringWantedRowsGivesTheBitsOfScoringAll) {
  const size_t batch = 3, rows = 10;
  const auto ids = RandomTokens(batch * kWindow, 1), next = RandomTokens(batch * kWindow, 2);
  std::vector<float> all(batch * kWindow);
  Make(Mode::kScore, batch)->Score(ids, {}, next, all);

  const std::vector<uint32_t> first = {kWindow - rows, 0, 41};
  std::vector<int32_t> targets;
  std::vector<float> expected;
  for (size_t b = 0; b < batch; ++b) {
    for (size_t i = 0; i < rows; ++i) {
      targets.push_back(next[b * kWindow + first[b] + i]);
      expected.push_back(all[b * kWindow + first[b] + i]);
    }
  }
  std::vector<float> wanted(batch * rows);
  Make(Mode::kScore, batch, rows)->Score(ids, first, targets, wanted);
  EXPECT_EQ(wanted, expected);
}

TEST_P(ExecutorTest, EveryTargetsScoresAreADistributionWithTheScoreInIt) {
  constexpr size_t kBatch = 2, kRows = 8;
  const auto executor = Make(Mode::kScore, kBatch, kRows);
  const auto ids = RandomTokens(kBatch * kWindow, 1), targets = RandomTokens(kBatch * kRows, 2);
  const std::vector<uint32_t> first_row = {11, kWindow - kRows};
  std::vector<float> nll(kBatch * kRows), every(64);
  executor->Score(ids, first_row, targets, nll);
  for (size_t row = 0; row < nll.size(); ++row) {
    executor->ScoreEveryTarget(row, every);
    EXPECT_EQ(every[targets[row]], nll[row]);
    double sum = 0;
    for (float x : every) sum += std::exp(-static_cast<double>(x));
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST_P(ExecutorTest, ALossDoesNotDependOnTheBatchItIsIn) {
  const size_t windows = 7;
  const auto ids = RandomTokens(windows * kWindow, 3), next = RandomTokens(windows * kWindow, 4);
  std::vector<float> together(windows * kWindow), alone(kWindow);
  Make(Mode::kScore, windows)->Score(ids, {}, next, together);
  const auto single = Make(Mode::kScore, 1);
  for (size_t b = 0; b < windows; ++b) {
    single->Score(std::span(ids).subspan(b * kWindow, kWindow), {},
                  std::span(next).subspan(b * kWindow, kWindow), alone);
    EXPECT_TRUE(
        std::equal(alone.begin(), alone.end(), together.begin() + static_cast<long>(b * kWindow)));
  }
}

TEST_P(ExecutorTest, LaterTokensDoNotChangeEarlierLosses) {
  auto ids = RandomTokens(kWindow, 5);
  const auto next = RandomTokens(kWindow, 6), other = RandomTokens(kWindow, 8);
  const auto executor = Make(Mode::kScore, 1);
  std::vector<float> before(kWindow), after(kWindow);
  executor->Score(ids, {}, next, before);
  for (const size_t t : {size_t{0}, size_t{15}, size_t{16}, size_t{63}, size_t{kWindow - 2}}) {
    auto changed = ids;
    std::copy(other.begin() + static_cast<long>(t) + 1, other.end(),
              changed.begin() + static_cast<long>(t) + 1);
    executor->Score(changed, {}, next, after);
    EXPECT_TRUE(
        std::equal(before.begin(), before.begin() + static_cast<long>(t) + 1, after.begin()))
        << t;
    EXPECT_NE(before, after);
  }
}

TEST_P(ExecutorTest, ThreadsDoNotChangeBits) {
  const auto ids = RandomTokens(2 * kWindow, 9), next = RandomTokens(2 * kWindow, 10);
  const auto executor = Make(Mode::kTrain, 2);
  TensorSet one = weights_.SameLayout(), two = weights_.SameLayout();
  const int threads = Threads();
  SetThreads(1);
  const double loss_one = executor->Train(ids, next, 1.0F, one);
  SetThreads(2);
  const double loss_two = executor->Train(ids, next, 1.0F, two);
  SetThreads(threads);
  EXPECT_EQ(loss_one, loss_two);
  EXPECT_TRUE(std::ranges::equal(one.all(), two.all()));
}

TEST_P(ExecutorTest, TrainingAndScoringShareOneForward) {
  const auto ids = RandomTokens(2 * kWindow, 11), next = RandomTokens(2 * kWindow, 12);
  std::vector<float> nll(2 * kWindow);
  Make(Mode::kScore, 2)->Score(ids, {}, next, nll);
  TensorSet gradients = weights_.SameLayout();
  const double loss = Make(Mode::kTrain, 2)->Train(ids, next, 1.0F, gradients);
  EXPECT_EQ(loss, std::accumulate(nll.begin(), nll.end(), 0.0) / static_cast<double>(nll.size()));
}

TEST_P(ExecutorTest, GradientsOfTwoPassesAddUp) {
  const auto ids = RandomTokens(kWindow, 13), next = RandomTokens(kWindow, 14);
  const auto executor = Make(Mode::kTrain, 1);
  TensorSet once = weights_.SameLayout(), twice = weights_.SameLayout();
  executor->Train(ids, next, 1.0F, once);
  executor->Train(ids, next, 0.5F, twice);
  executor->Train(ids, next, 0.5F, twice);
  for (size_t i = 0; i < once.count(); ++i) {
    double norm = 0, difference = 0;
    for (size_t k = 0; k < once[i].size(); ++k) {
      norm += std::abs(once[i][k]);
      difference += std::abs(once[i][k] - twice[i][k]);
    }
    if (unread(i)) continue;
    EXPECT_GT(norm, 0) << once.name(i);
    EXPECT_LE(difference, (precision() == Precision::kFp32 ? 1e-4 : 2e-2) * norm) << once.name(i);
  }
}

TEST_P(ExecutorTest, FrozenWeightsGetNoGradientAndTheOthersTheSame) {
  const auto ids = RandomTokens(kWindow, 15), next = RandomTokens(kWindow, 16);
  TensorSet full = weights_.SameLayout(), partial = weights_.SameLayout();
  Make(Mode::kTrain, 1)->Train(ids, next, 1.0F, full);
  std::vector<bool> trainable(weights_.count());
  for (size_t i = 0; i < trainable.size(); ++i) {
    const std::string& name = weights_.name(i);
    trainable[i] = name.starts_with("blocks.4.") || name.starts_with("blocks.3.mlp") ||
                   name == "blocks.0.attn_scale";
  }
  const auto executor = Make(Mode::kTrain, 1, 0, trainable);
  executor->Train(ids, next, 1.0F, partial);
  for (size_t i = 0; i < trainable.size(); ++i) {
    if (trainable[i]) {
      EXPECT_TRUE(std::ranges::equal(full[i], partial[i])) << weights_.name(i);
    } else {
      EXPECT_TRUE(std::ranges::all_of(partial[i], [](float g) { return g == 0; }))
          << weights_.name(i);
    }
  }
}

TEST_P(ExecutorTest, FreezingTheLowerBlocksSkipsTheirBackward) {
  std::vector<bool> trainable(weights_.count());
  for (size_t i = 0; i < trainable.size(); ++i)
    trainable[i] = weights_.name(i).starts_with("blocks.4.");
  EXPECT_LT(Make(Mode::kTrain, 2, 0, trainable)->arena_bytes(),
            Make(Mode::kTrain, 2)->arena_bytes());
  EXPECT_THAT(Make(Mode::kTrain, 2)->PlanTable(), testing::HasSubstr("d.block0_out"));
  EXPECT_THAT(Make(Mode::kTrain, 2, 0, trainable)->PlanTable(),
              testing::Not(testing::HasSubstr("d.block0_out")));
}

// The whole backward against central differences of the loss, along the gradient of each weight. fp32 only: the
// operations themselves are checked in double (tests/kernels), this checks how they are put together.
void ExecutorTest::ExpectDerivativeOfTheLoss(double focal_gamma) {
  const auto ids = RandomTokens(kWindow, 17), next = RandomTokens(kWindow, 18);
  const auto scorer = Make(Mode::kScore, 1);
  const auto mean_loss = [&] {
    std::vector<float> nll(kWindow);
    scorer->WeightsChanged();
    scorer->Score(ids, {}, next, nll);
    double sum = 0;
    for (const double x : nll) sum += std::pow(1 - std::exp(-x), focal_gamma) * x;
    return sum / static_cast<double>(nll.size());
  };
  TensorSet gradients = weights_.SameLayout();
  ExecutorOptions options;
  options.mode = Mode::kTrain;
  options.focal_gamma = focal_gamma;
  auto executor = Executor::Create(*kernels_, *program_, weights_, options);
  ASSERT_TRUE(executor.ok());
  (*executor)->Train(ids, next, 1.0F, gradients);
  for (size_t i = 0; i < weights_.count(); ++i) {
    if (unread(i)) continue;
    // Along the gradient itself the derivative is largest. The step moves the loss by about 1e-3, and the weight by no
    // more than 0.05.
    double norm2 = 0;
    for (float g : gradients[i]) norm2 += double{g} * g;
    const double step = std::min(1e-3 / norm2, 0.05 / std::sqrt(norm2));
    const std::vector<float> saved(weights_[i].begin(), weights_[i].end());
    double loss[2];
    for (const int side : {0, 1}) {
      for (size_t k = 0; k < saved.size(); ++k) {
        weights_[i][k] = static_cast<float>(saved[k] + (side ? step : -step) * gradients[i][k]);
      }
      loss[side] = mean_loss();
    }
    std::ranges::copy(saved, weights_[i].begin());
    const double expected = 2 * step * norm2;
    const double rounding = 5e-7;  // of the loss in fp32
    EXPECT_NEAR(loss[1] - loss[0], expected, 2e-2 * expected + rounding) << weights_.name(i);
  }
}

TEST_P(ExecutorTest, GradientIsTheDerivativeOfTheLoss) {
  if (precision() == Precision::kFp32) ExpectDerivativeOfTheLoss(0);
}

TEST_P(ExecutorTest, GradientIsTheDerivativeOfTheFocalLoss) {
  if (precision() == Precision::kFp32) ExpectDerivativeOfTheLoss(2);
}

TEST_P(ExecutorTest, FakeQuantisedTrainingUsesQuantisedMatricesAndScoringDoesNot) {
  const auto ids = RandomTokens(kWindow, 20), next = RandomTokens(kWindow, 21);
  const auto train = Make(Mode::kTrain, 1);
  TensorSet gradients = weights_.SameLayout();
  const double plain = train->Train(ids, next, 1.0F, gradients);
  train->WeightsChanged(FakeQuant{});
  EXPECT_NE(train->Train(ids, next, 1.0F, gradients), plain);
  train->WeightsChanged();
  EXPECT_EQ(train->Train(ids, next, 1.0F, gradients), plain);
}

TEST_P(ExecutorTest, ObserverSeesEveryLinearOnce) {
  const auto executor = Make(Mode::kObserve, 2);
  std::vector<int> seen(weights_.count());
  executor->Observe(RandomTokens(2 * kWindow, 22),
                    [&](size_t weight, size_t rows, size_t width, const float*) {
                      ++seen[weight];
                      EXPECT_EQ(rows, 2 * kWindow);
                      EXPECT_EQ(width, weights_.shape(weight)[1]);
                    });
  for (size_t i = 0; i < seen.size(); ++i) {
    const bool table = weights_.name(i).ends_with("embed.weight");
    const bool matrix = weights_.name(i).ends_with(".weight") && !table;
    EXPECT_EQ(seen[i], matrix ? 1 : 0) << weights_.name(i);
  }
}

TEST(ExecutorOptionsTest, RefusesRowsBeyondTheWindow) {
  const auto program = BuildNetwork(SmallConfig());
  const TensorSet weights(*program);
  const auto executor =
      Executor::Create(**CpuKernels(), *program, weights, {.length = 8, .scored_rows = 9});
  ASSERT_FALSE(executor.ok());
  EXPECT_EQ(executor.status().code(), Code::kUsage);
}

}  // namespace
}  // namespace golf
