#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/table.h"
#include "runtime/evaluate.h"
#include "schemas/program_generated.h"
#include "tests/runtime/fake_executor.h"
#include "tests/runtime/made_up_text.h"
#include "tests/support/thread_group.h"
#include "trainer/network.h"
#include "trainer/recipe.h"

namespace golf {
namespace {

using testing::HasSubstr;
using Kind = EvalStep::Kind;
using Schedule = TttOptions::Schedule;

TttOptions SmallOptions() {
  TttOptions options;
  options.lr = 0.05;
  options.epochs = 3;
  options.chunk_tokens = 128;
  options.batch_sequences = 3;
  options.trainable = FreezeFirstBlocks(1);
  return options;
}

TEST(Schedule, FactorsOfTheReferences) {
  EXPECT_DOUBLE_EQ(LrFactor(Schedule::kConstant, 7, 9), 1);
  EXPECT_DOUBLE_EQ(LrFactor(Schedule::kCosine, 0, 1893), 1);
  EXPECT_NEAR(LrFactor(Schedule::kCosine, 946, 1893), 0.5, 1e-12);
  EXPECT_NEAR(LrFactor(Schedule::kCosine, 1892, 1893), 0, 1e-12);
  EXPECT_DOUBLE_EQ(LrFactor(Schedule::kWarmupCosine, 0, 1893), 1.0 / 94);
  EXPECT_DOUBLE_EQ(LrFactor(Schedule::kWarmupCosine, 93, 1893), 1);
  EXPECT_DOUBLE_EQ(LrFactor(Schedule::kWarmupCosine, 94, 1893), 1);
  EXPECT_NEAR(LrFactor(Schedule::kWarmupCosine, 1892, 1893), 0, 1e-12);
  EXPECT_TRUE(std::isfinite(LrFactor(Schedule::kCosine, 0, 1)));
  EXPECT_TRUE(std::isfinite(LrFactor(Schedule::kWarmupCosine, 1, 2)));
}

TEST(Trainable, TheLastMatchingRuleDecides) {
  EXPECT_TRUE(MatchesPattern("blocks.1.*", "blocks.1.attn.c_q.weight"));
  EXPECT_FALSE(MatchesPattern("blocks.1.*", "blocks.10.attn.c_q.weight"));
  EXPECT_TRUE(MatchesPattern("*scale*", "bigram.scale"));
  EXPECT_TRUE(MatchesPattern("*a*ab", "aaab"));
  EXPECT_FALSE(MatchesPattern("*a*ab", "aaabc"));
  const TensorSet weights = test::FakeWeights();
  EXPECT_THAT(*SelectTrainable({"-*", "+w"}, weights), testing::ElementsAre(true, false));
  EXPECT_THAT(*SelectTrainable(FreezeFirstBlocks(1), weights), testing::ElementsAre(true, false));
  EXPECT_THAT(SelectTrainable({"-*"}, weights).status().message(), HasSubstr("nothing to train"));
  EXPECT_THAT(SelectTrainable({"-blocks.7.*"}, weights).status().message(),
              HasSubstr("matches no weight"));
  EXPECT_FALSE(SelectTrainable({"blocks"}, weights).ok());
}

// Names as in a network, one parameter each.
TensorSet Named(const std::vector<std::string>& names) {
  schema::ProgramT program;
  for (const std::string& name : names) {
    auto& weight = program.weights.emplace_back(std::make_unique<schema::WeightT>());
    weight->name = name;
    weight->shape = {1};
  }
  return TensorSet(program);
}

TEST(Trainable, BlocksCountFromTheEndToo) {
  const TensorSet weights = Named({"blocks.0.w", "blocks.0.attn_scale", "blocks.1.w", "blocks.9.w",
                                   "blocks.10.w", "blocks_extra.w", "tok_emb.weight"});
  EXPECT_THAT(*SelectTrainable({"-*", "+blocks.-1.*"}, weights),
              testing::ElementsAre(false, false, false, false, true, false, false));
  EXPECT_THAT(*SelectTrainable(ScalesAndLastBlocks(2), weights),
              testing::ElementsAre(false, true, false, true, true, false, false));
  EXPECT_THAT(SelectTrainable({"-*", "+blocks.-12.*"}, weights).status().message(),
              HasSubstr("'+blocks.-12.*' matches no weight"));
}

TEST(Trainable, RulesOfAPresetStayWithinTheNetwork) {
  const TensorSet one = Named({"blocks.0.w", "blocks.0.attn_scale", "tok_emb.weight"});
  EXPECT_EQ(CountBlocks(one), 1U);
  EXPECT_THAT(*SelectTrainable(WithinBlocks(FreezeFirstBlocks(2), 1), one),
              testing::ElementsAre(false, false, true));
  EXPECT_THAT(*SelectTrainable(WithinBlocks(ScalesAndLastBlocks(2), 1), one),
              testing::ElementsAre(true, true, false));
  EXPECT_EQ(WithinBlocks(ScalesAndLastBlocks(2), 2), ScalesAndLastBlocks(2));
  EXPECT_EQ(CountBlocks(Named({"blocks.99999999999999999999.w", "blocks", "blocks.x.w"})), 0U);
}

TEST(Trainable, Pr1004TrainsItsPublishedSubset) {
  const auto program = BuildNetwork(LoadRecipe("pr1004")->network);
  const TensorSet weights(*program);
  const auto trainable = *SelectTrainable(TttPreset("pr1004")->trainable, weights);
  size_t parameters = 0;
  for (size_t i = 0; i < weights.count(); ++i) parameters += trainable[i] ? weights[i].size() : 0;
  EXPECT_EQ(parameters, 5'780'500U);
}

TEST(Trainable, Pr1232FreezesItsFirstTwoBlocks) {
  for (const auto& [recipe, expected] :
       {std::pair{"pr1232", 22'406'307U}, std::pair{"pr1232-flow", 22'504'932U}}) {
    const auto program = BuildNetwork(LoadRecipe(recipe)->network);
    const TensorSet weights(*program);
    const auto trainable = *SelectTrainable(TttPreset("pr1232")->trainable, weights);
    size_t parameters = 0;
    for (size_t i = 0; i < weights.count(); ++i) parameters += trainable[i] ? weights[i].size() : 0;
    EXPECT_EQ(parameters, expected);
  }
}

TEST(TttPreset, AreThePublishedSettings) {
  const TttOptions pr1004 = *TttPreset("pr1004"), pr1232 = *TttPreset("pr1232");
  EXPECT_EQ(pr1004.optimizer, TttOptions::Optimizer::kAdamW);
  EXPECT_EQ(pr1004.schedule, Schedule::kCosine);
  EXPECT_EQ(pr1004.lr, 1e-4);
  EXPECT_EQ(pr1004.epochs, 3U);
  EXPECT_EQ(pr1004.chunk_tokens, 131'072U);
  EXPECT_EQ(pr1232.optimizer, TttOptions::Optimizer::kSgd);
  EXPECT_EQ(pr1232.schedule, Schedule::kWarmupCosine);
  EXPECT_EQ(pr1232.epochs, 10U);
  EXPECT_EQ(pr1232.chunk_tokens, 32'768U);
  for (const std::string_view name : TttPresets()) {
    EXPECT_TRUE(CheckTttOptions(*TttPreset(name), 2048).ok()) << name;
  }
  EXPECT_THAT(TttPreset("pr1").status().message(), HasSubstr("pr1004"));
}

TEST(ScoreFirst, ChunksOfPr1004) {
  const size_t targets = 62'021'632;
  const auto windows = *MakeWindows({2048, 64, Tail::kRepeat}, targets);
  const auto steps = ScoreFirst(windows, targets, 2048, *TttPreset("pr1004"));
  ASSERT_EQ(steps.size(), 474U + 473U);
  EXPECT_EQ(steps[0].end - steps[0].begin, 2017U);
  EXPECT_EQ(steps[2].end - steps[2].begin, 2048U);
  EXPECT_EQ(steps.back().end - steps.back().begin, 415U);
  EXPECT_DOUBLE_EQ(steps[1].lr, 1e-4);
}

TEST(ScoreFirst, ChunksOfThePublishedRun) {
  const size_t targets = 62'021'632;
  const auto windows = *MakeWindows({2048, 64, Tail::kRepeat}, targets);
  const auto steps = ScoreFirst(windows, targets, 2048, *TttPreset("pr598"));
  ASSERT_EQ(steps.size(), 1893U + 1892U);  // the last chunk is only scored
  EXPECT_EQ(steps[0].end - steps[0].begin, 481U);
  EXPECT_EQ(steps[2].end - steps[2].begin, 512U);
  EXPECT_EQ(steps.back().kind, Kind::kScore);
  EXPECT_EQ(steps.back().end - steps.back().begin, 415U);
  EXPECT_EQ(steps[1].end - steps[1].begin, 32768U);
  EXPECT_TRUE(CheckScoreFirst(steps, windows).ok());
}

TEST(ScoreFirst, ListsAreLegalWhateverTheSizes) {
  for (size_t targets : {1, 63, 64, 65, 200, 511, 512, 513, 1000}) {
    for (size_t stride : {1, 16, 48, 64}) {
      for (size_t chunk : {64, 100, 128, 333}) {
        for (Tail tail : {Tail::kOnce, Tail::kRepeat, Tail::kRepeatAll}) {
          TttOptions options = SmallOptions();
          options.chunk_tokens = chunk;
          const auto windows = *MakeWindows({64, stride, tail}, targets);
          const Status status = CheckScoreFirst(ScoreFirst(windows, targets, 64, options), windows);
          EXPECT_TRUE(status.ok())
              << targets << ' ' << stride << ' ' << chunk << ' ' << status.message();
        }
      }
    }
  }
}

TEST(ScoreFirst, CheatsAreRefused) {
  const auto windows = *MakeWindows({64, 64, Tail::kOnce}, 256);
  const auto check = [&](std::vector<EvalStep> steps) {
    return CheckScoreFirst(steps, windows).message();
  };
  EXPECT_THAT(check({{Kind::kTrain, 0, 64, 0, 1}, {Kind::kScore, 0, 4, 0, 0}}),
              HasSubstr("not scored yet"));
  EXPECT_THAT(
      check({{Kind::kScore, 0, 1, 0, 0}, {Kind::kTrain, 0, 128, 0, 1}, {Kind::kScore, 1, 4, 0, 0}}),
      HasSubstr("not scored yet"));
  EXPECT_THAT(check({{Kind::kScore, 0, 4, 0, 0}, {Kind::kTrain, 0, 64, 0, 1}}),
              HasSubstr("nothing is left"));
  EXPECT_THAT(check({{Kind::kScore, 0, 2, 0, 0}, {Kind::kScore, 1, 4, 0, 0}}),
              HasSubstr("windows' order"));
  EXPECT_THAT(check({{Kind::kScore, 0, 2, 0, 0}, {Kind::kScore, 3, 4, 0, 0}}),
              HasSubstr("windows' order"));
  EXPECT_THAT(check({{Kind::kScore, 0, 3, 0, 0}}), HasSubstr("only 3 of 4"));
}

class TttRun : public testing::Test {
 protected:
  struct Log : EvalObserver {
    std::vector<float> nll;
    std::vector<TrainUpdate> updates;
    std::vector<float> w;  // after each chunk
    Status Scored(const ScoredWindow& window) override {
      nll.insert(nll.end(), window.nll.begin(), window.nll.end());
      return {};
    }
    Status Trained(const TrainedChunk& chunk) override {
      updates.insert(updates.end(), chunk.updates.begin(), chunk.updates.end());
      w.push_back(chunk.weights[0][0]);
      return {};
    }
  };

  Result<ScoreSums> Run(const TokenStream& stream, const TttOptions& options, size_t batch = 8) {
    weights_ = test::FakeWeights();
    weights_[0][0] = 2;
    weights_[1][0] = 5;
    log_ = {};
    calls_ = {};
    calls_.nan_from_loss = nan_from_;
    const auto factory = test::FakeExecutors(weights_, calls_);
    const WindowRule rule{64, 16, Tail::kOnce};
    const auto windows = *MakeWindows(rule, stream.targets());
    const auto steps = ScoreFirst(windows, stream.targets(), rule.length, options);
    WindowScorer scorer(factory, {rule, batch, Precision::kFp32});
    GOLF_ASSIGN(TttTrainer trainer, TttTrainer::Create(**CpuKernels(), factory, weights_, options,
                                                       rule.length, Precision::kFp32));
    EvalObserver* observers[] = {&log_};
    const ByteTable bytes = test::MadeUpBytes();
    return Evaluate({stream, bytes, windows, steps}, scorer, &trainer, observers);
  }

  TensorSet weights_;
  Log log_;
  test::FakeCalls calls_;
  double nan_from_ = std::numeric_limits<double>::infinity();
};

TEST_F(TttRun, TrainsOnAllChunksButTheLastAndLeavesFrozenWeightsAlone) {
  const TokenStream stream = test::RandomStream(128 * 4 + 20);
  ASSERT_TRUE(Run(stream, SmallOptions()).ok());
  EXPECT_EQ(log_.w.size(), 4U);
  EXPECT_EQ(log_.updates.size(), 4U * 3);  // two sequences a chunk are one batch, three epochs
  EXPECT_LT(log_.w.back(), 2.0F);
  EXPECT_EQ(weights_[1][0], 5.0F);
  EXPECT_FALSE(calls_.fake_quantised_training);
}

TEST_F(TttRun, ProcessesWhoseWeightsDifferAreEnded) {
  const TokenStream stream = test::RandomStream(300);
  test::InThreads(3, [&](ProcessGroup& group) {
    TensorSet weights = test::FakeWeights();
    weights[0][0] = group.rank() == 1 ? 2 : 3;
    test::FakeCalls calls;
    auto trainer = TttTrainer::Create(**CpuKernels(), test::FakeExecutors(weights, calls), weights,
                                      SmallOptions(), 64, Precision::kFp32, group);
    ASSERT_TRUE(trainer.ok()) << trainer.status().message();
    const EvalStep step{EvalStep::Kind::kTrain, 128, 256, 1, 0.1};
    const Status status = trainer->Train(stream, step, [](const TrainUpdate&) { return Status(); });
    EXPECT_EQ(status.code(), Code::kBadData);
    EXPECT_THAT(status.message(), HasSubstr("rank 1 has other weights than rank 0 after "
                                            "test-time training on chunk 1"));
  });
}

TEST_F(TttRun, ScoresDoNotDependOnTheScoringBatch) {
  const TokenStream stream = test::RandomStream(700);
  ASSERT_TRUE(Run(stream, SmallOptions(), 1).ok());
  const auto one = log_.nll;
  for (size_t batch : {7, 32}) {
    ASSERT_TRUE(Run(stream, SmallOptions(), batch).ok());
    EXPECT_EQ(log_.nll, one);
  }
}

// With the mean taken over the whole batch, cutting it into passes changes rounding only.
TEST_F(TttRun, PassesOfABatchAddUpToItsMean) {
  const TokenStream stream = test::RandomStream(64 * 5 * 3 + 1);
  TttOptions options = SmallOptions();
  options.chunk_tokens = 64 * 5;
  options.batch_sequences = 5;
  ASSERT_TRUE(Run(stream, options).ok());
  const auto whole = log_;
  options.micro_batch = 2;  // 2 + 2 + 1
  ASSERT_TRUE(Run(stream, options).ok());
  ASSERT_EQ(log_.updates.size(), whole.updates.size());
  for (size_t i = 0; i < whole.updates.size(); ++i) {
    EXPECT_NEAR(log_.updates[i].loss_nats, whole.updates[i].loss_nats, 1e-6);
    EXPECT_NEAR(log_.updates[i].gradient_norm, whole.updates[i].gradient_norm, 1e-6);
  }
}

// By hand: buffer <- momentum * buffer + clipped gradient, w <- w - lr * buffer.
TEST_F(TttRun, SgdWithMomentumAndClipping) {
  TttOptions options = SmallOptions();
  options.schedule = Schedule::kConstant;
  options.clip_norm = 0.25;
  ASSERT_TRUE(Run(test::RandomStream(400), options).ok());
  double w = 2, buffer = 0;
  for (size_t i = 0; i < options.epochs; ++i) {
    const double norm = log_.updates[i].gradient_norm;
    EXPECT_GT(norm, 0.5);
    buffer = options.momentum * buffer + norm * 0.25 / (norm + 1e-6);
    w -= options.lr * buffer;
  }
  EXPECT_NEAR(log_.w[0], w, 1e-6);
}

TEST_F(TttRun, FakeQuantisationIsForTrainingOnly) {
  TttOptions options = SmallOptions();
  options.fake_quant = FakeQuant{};
  ASSERT_TRUE(Run(test::RandomStream(400), options).ok());
  EXPECT_TRUE(calls_.fake_quantised_training);
}

TEST_F(TttRun, Bf16WeightsStayBfloat16) {
  TttOptions options = SmallOptions();
  options.bf16_weights = {"w"};
  ASSERT_TRUE(Run(test::RandomStream(400), options).ok());
  EXPECT_NE(weights_[0][0], 2.0F);
  EXPECT_EQ(ToFloat(FromFloat<bf16>(weights_[0][0])), weights_[0][0]);
}

TEST_F(TttRun, ANanNamesChunkAndUpdate) {
  nan_from_ = 4;  // three passes a chunk: the second update of chunk 1
  const auto result = Run(test::RandomStream(700), SmallOptions());
  EXPECT_EQ(result.status().code(), Code::kBadNumbers);
  EXPECT_THAT(result.status().message(), HasSubstr("chunk 1, epoch 1, update 1"));
}

TEST_F(TttRun, OptionsOutOfRangeAreRefused) {
  TttOptions options = SmallOptions();
  options.chunk_tokens = 63;
  EXPECT_THAT(Run(test::RandomStream(400), options).status().message(), HasSubstr("chunk tokens"));
  options = SmallOptions();
  options.lr = std::nan("");
  EXPECT_EQ(Run(test::RandomStream(400), options).status().code(), Code::kUsage);
}

// Tokens after t are replaced: no score at or before t moves by a bit.
TEST_F(TttRun, TheFutureDoesNotReachBack) {
  const TokenStream stream = test::RandomStream(600);
  ASSERT_TRUE(Run(stream, SmallOptions()).ok());
  const auto original = log_.nll;
  for (size_t t : {0, 1, 16, 63, 64, 65, 127, 128, 129, 192, 255, 256, 300, 512, 598}) {
    std::vector<uint16_t> tokens(stream.tokens().begin(), stream.tokens().end());
    for (size_t i = t + 1; i < tokens.size(); ++i)
      tokens[i] = static_cast<uint16_t>((tokens[i] + 7 * i) % test::kVocab);
    ASSERT_TRUE(Run(*TokenStream::FromTokens(tokens, test::kVocab), SmallOptions()).ok());
    // Target t - 1 predicts token t.
    for (size_t target = 0; target < t; ++target)
      ASSERT_EQ(log_.nll[target], original[target]) << "t = " << t;
  }
}

}  // namespace
}  // namespace golf
