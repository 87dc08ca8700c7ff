// The checks on an honest scorer, on scorers with one planted fault each, and on a real network.
#include "runtime/checks.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "kernels/base/check.h"
#include "kernels/table.h"
#include "kernels/threads.h"
#include "tests/runtime/fake_executor.h"
#include "tests/runtime/made_up_text.h"
#include "tests/runtime/small_network.h"

namespace golf {
namespace {

using test::kVocab;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr size_t kWindow = 64;

enum class Fault {
  kNone,
  kSeesLaterTokens,    // logits depend on the token after the target
  kSeesLaterWindows,   // logits depend on the last window of the batch
  kTargetOpensGate,    // a hint is given, and normalised, only for targets of one class
  kOnlyRealisedToken,  // the score is blended with a cache that is no distribution
  kReportsLess,        // the score is below what the distribution says
};

// A softmax over hashes of the window's tokens up to the row, times a weight that training changes.
class ToyExecutor : public Executor {
 public:
  ToyExecutor(const ExecutorOptions& options, const TensorSet& weights, Fault fault)
      : options_(options), weights_(weights), fault_(fault) {}

  void WeightsChanged(std::optional<FakeQuant>) override { w_ = weights_[0][0]; }

  void Score(std::span<const int32_t> ids, std::span<const uint32_t> first_row,
             std::span<const int32_t> targets, std::span<float> nll) override {
    const size_t rows = options_.scored_rows == 0 ? options_.length : options_.scored_rows;
    rows_.resize(nll.size());
    for (size_t i = 0; i < nll.size(); ++i) {
      const size_t b = i / rows, t = first_row[b] + i % rows;
      const auto window = ids.subspan(b * options_.length, options_.length);
      rows_[i] = Row(Context(ids, window, t), targets[i]);
      nll[i] = rows_[i][targets[i]] * (fault_ == Fault::kReportsLess ? 0.99F : 1.0F);
    }
  }
  void ScoreEveryTarget(size_t row, std::span<float> nll) const override {
    std::ranges::copy(rows_[row], nll.begin());
  }
  double Train(std::span<const int32_t>, std::span<const int32_t>, float loss_scale,
               TensorSet& gradients) override {
    gradients[0][0] -= loss_scale;
    return 1;
  }
  void Observe(std::span<const int32_t>, const Observer&) override {}
  Result<std::vector<float>> ReadValue(std::string_view) const override {
    return Status(Code::kInternal, "a toy");
  }
  size_t arena_bytes() const override { return 0; }
  std::string PlanTable() const override { return ""; }

 private:
  static uint64_t Mix(uint64_t h, uint64_t x) {
    h = (h ^ (x + 1)) * 0x9e3779b97f4a7c15U;
    return h ^ (h >> 29);
  }
  static double Unit(uint64_t h) { return static_cast<double>(h >> 11) * 0x1p-53; }

  uint64_t Context(std::span<const int32_t> ids, std::span<const int32_t> window, size_t t) const {
    uint64_t h = 7;
    for (int32_t id : window.first(t + 1)) h = Mix(h, static_cast<uint64_t>(id));
    if (fault_ == Fault::kSeesLaterTokens && t + 2 < window.size())
      h = Mix(h, static_cast<uint64_t>(window[t + 2]));
    if (fault_ == Fault::kSeesLaterWindows) h = Mix(h, static_cast<uint64_t>(ids.back()));
    return h;
  }

  std::vector<float> Row(uint64_t context, int32_t target) const {
    std::vector<double> logit(kVocab);
    for (size_t v = 0; v < kVocab; ++v) logit[v] = w_ * Unit(Mix(context, v));
    if (fault_ == Fault::kTargetOpensGate && target % 2 == 0) logit[context % kVocab] += 2;
    double sum = 0;
    for (double z : logit) sum += std::exp(z);
    std::vector<float> nll(kVocab);
    for (size_t v = 0; v < kVocab; ++v) {
      double p = std::exp(logit[v]) / sum;
      if (fault_ == Fault::kOnlyRealisedToken) p = 0.9 * p + 0.1 * Unit(Mix(context, 99 + v));
      nll[v] = static_cast<float>(-std::log(p));
    }
    return nll;
  }

  ExecutorOptions options_;
  const TensorSet& weights_;
  Fault fault_;
  double w_ = 0;
  std::vector<std::vector<float>> rows_;  // of the last pass
};

TttOptions SmallTtt() {
  TttOptions options;
  options.lr = 0.02;
  options.epochs = 2;
  options.chunk_tokens = 2 * kWindow;
  options.batch_sequences = 2;
  options.trainable = FreezeFirstBlocks(1);
  return options;
}

struct Trial {
  TokenStream stream = test::RandomStream(500);
  ByteTable bytes = test::MadeUpBytes();
  WindowRule rule{kWindow, 16, Tail::kOnce};
  Precision precision = Precision::kFp32;
  std::optional<TttOptions> ttt = SmallTtt();
  size_t left_out = 0;  // windows at the end
  size_t samples = 8;
  EvalObserver* watch = nullptr;
};

Result<std::vector<CheckResult>> RunAll(const Trial& trial, ExecutorFactory factory,
                                        TensorSet& weights) {
  const WindowList all = *MakeWindows(trial.rule, trial.stream.targets());
  const WindowList windows = all.First(all.size() - trial.left_out);
  const auto steps =
      trial.ttt ? ScoreFirst(windows, trial.stream.targets(), trial.rule.length, *trial.ttt)
                : ScoreOnly(windows);
  const Evaluation evaluation{trial.stream, trial.bytes, windows, steps};
  GOLF_ASSIGN(const std::unique_ptr<Checker> checker,
              Checker::Create({**CpuKernels(),
                               std::move(factory),
                               weights,
                               {trial.rule, 4, trial.precision},
                               trial.ttt,
                               kVocab,
                               evaluation},
                              trial.samples, trial.watch));
  std::vector<CheckResult> results;
  for (Check check : kAllChecks) {
    GOLF_ASSIGN(CheckResult result, checker->Run(check));
    results.push_back(std::move(result));
  }
  return results;
}

Result<std::vector<CheckResult>> RunToy(Fault fault, const Trial& trial = {}) {
  TensorSet weights = test::FakeWeights();
  weights[0][0] = 2;
  auto results = RunAll(
      trial,
      [&](const ExecutorOptions& options) -> Result<std::unique_ptr<Executor>> {
        return std::unique_ptr<Executor>(new ToyExecutor(options, weights, fault));
      },
      weights);
  EXPECT_EQ(weights[0][0], 2.0F) << "the packed weights are put back";
  return results;
}

std::vector<Check> Broken(const std::vector<CheckResult>& results) {
  std::vector<Check> broken;
  for (const CheckResult& result : results) {
    if (!result.passed()) broken.push_back(result.check);
    EXPECT_EQ(result.passed(), result.first_violation.empty());
  }
  return broken;
}

TEST(Checks, PassOnAnHonestScorer) {
  for (bool train : {false, true}) {
    Trial trial;
    if (!train) trial.ttt.reset();
    const auto results = *RunToy(Fault::kNone, trial);
    EXPECT_THAT(Broken(results), IsEmpty());
    EXPECT_EQ(results[0].places, 8U);
    EXPECT_GT(results[0].compared, 8U * 64);
    EXPECT_EQ(results[1].compared, 8U * (kVocab + 1));
    EXPECT_EQ(results[2].places, 8U);
    EXPECT_GT(results[2].worst, 0);  // rounding
    EXPECT_EQ(results[3].places, 499U);
    EXPECT_EQ(results[3].compared, 499U);
  }
}

TEST(Checks, FindATokenThatIsSeenTooEarly) {
  const auto results = *RunToy(Fault::kSeesLaterTokens);
  EXPECT_THAT(Broken(results), ElementsAre(Check::kCausality));
  EXPECT_GT(results[0].worst, 1e-3);
  EXPECT_THAT(results[0].first_violation, HasSubstr("with the tokens behind target"));
}

TEST(Checks, FindAWindowThatIsSeenTooEarly) {
  EXPECT_THAT(Broken(*RunToy(Fault::kSeesLaterWindows)), ElementsAre(Check::kCausality));
}

TEST(Checks, FindAHintThatDependsOnTheTarget) {
  const auto results = *RunToy(Fault::kTargetOpensGate);
  EXPECT_THAT(Broken(results), ElementsAre(Check::kTarget));
  EXPECT_THAT(results[1].first_violation, HasSubstr("replaced ("));
}

TEST(Checks, FindProbabilitiesThatDoNotSumToOne) {
  const auto results = *RunToy(Fault::kOnlyRealisedToken);
  EXPECT_THAT(Broken(results), ElementsAre(Check::kNormalisation));
  EXPECT_EQ(results[2].violations, 8U);
  EXPECT_GT(results[2].worst, 0.5);
  EXPECT_THAT(results[2].first_violation, HasSubstr("sum to"));
}

TEST(Checks, FindAScoreThatTheDistributionDoesNotGive) {
  const auto results = *RunToy(Fault::kReportsLess);
  EXPECT_THAT(Broken(results), ElementsAre(Check::kTarget, Check::kNormalisation));
  EXPECT_THAT(results[2].first_violation, HasSubstr("but the distribution gives"));
}

TEST(Checks, FindTargetsThatAreScoredAgain) {
  Trial trial;
  trial.rule.tail = Tail::kRepeat;
  const auto results = *RunToy(Fault::kNone, trial);
  EXPECT_THAT(Broken(results), ElementsAre(Check::kCoverage));
  EXPECT_GT(results[3].compared, results[3].places);
  // Bytes are counted again with their targets.
  EXPECT_EQ(results[3].violations, results[3].compared - results[3].places + 1);
  EXPECT_THAT(results[3].first_violation, HasSubstr("more than once"));
}

TEST(Checks, FindTargetsThatAreNeverScored) {
  Trial trial;
  trial.left_out = 2;
  trial.samples = 100;
  const auto results = *RunToy(Fault::kNone, trial);
  EXPECT_THAT(Broken(results), ElementsAre(Check::kCoverage));
  EXPECT_LT(results[3].compared, results[3].places);
  EXPECT_THAT(results[3].first_violation, HasSubstr("never scored"));
}

TEST(Checks, FindBytesThatAreCountedDifferently) {
  Trial trial;
  for (uint8_t& space : trial.bytes.leading_space) space *= 2;  // true, but not one byte
  const auto results = *RunToy(Fault::kNone, trial);
  EXPECT_THAT(Broken(results), ElementsAre(Check::kCoverage));
  EXPECT_EQ(results[3].violations, 1U);
  EXPECT_GT(results[3].worst, 100);
  EXPECT_THAT(results[3].first_violation, HasSubstr("bytes were counted"));
}

TEST(Checks, WorkOnTextsOfAFewTokens) {
  Trial trial;
  trial.stream = test::RandomStream(3);
  EXPECT_THAT(Broken(*RunToy(Fault::kNone, trial)), IsEmpty());
  trial.stream = test::RandomStream(2);
  EXPECT_EQ(RunToy(Fault::kNone, trial).status().code(), Code::kUsage);
}

TEST(Checks, EndWhenTheWatcherSaysSo) {
  struct : EvalObserver {
    int windows = 40;
    Status Scored(const ScoredWindow&) override {
      return windows-- > 0 ? Status() : Status(Code::kInterrupted, "enough");
    }
  } watch;
  Trial trial;
  trial.watch = &watch;
  EXPECT_EQ(RunToy(Fault::kNone, trial).status().code(), Code::kInterrupted);
}

TEST(Checks, HaveNames) {
  for (Check check : kAllChecks) EXPECT_EQ(FindCheck(Name(check)), check);
  EXPECT_FALSE(FindCheck("everything"));
}

class ChecksOfANetwork : public testing::TestWithParam<Precision> {};

INSTANTIATE_TEST_SUITE_P(Precisions, ChecksOfANetwork,
                         testing::Values(Precision::kFp32, Precision::kBf16), [](const auto& p) {
                           return p.param == Precision::kFp32 ? "fp32" : "bf16";
                         });

TEST_P(ChecksOfANetwork, PassWithAndWithoutTraining) {
  const auto program = BuildNetwork(test::SmallNetworkConfig(kVocab, kWindow));
  TensorSet weights = test::RandomWeights(*program);
  const int threads = Threads();
  SetThreads(1);  // so small that threads would only wait for each other
  for (bool train : {false, true}) {
    Trial trial;
    trial.precision = GetParam();
    if (!train) trial.ttt.reset();
    const auto results = *RunAll(trial, ExecutorsOf(**CpuKernels(), *program, weights), weights);
    for (const CheckResult& result : results)
      EXPECT_TRUE(result.passed()) << Name(result.check) << ": " << result.first_violation;
    RecordProperty(train ? "worst_sum_with_training" : "worst_sum",
                   fmt::format("{:.3g}", results[2].worst));
  }
  SetThreads(threads);
}

}  // namespace
}  // namespace golf
