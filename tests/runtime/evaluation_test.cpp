// Properties of scoring and score-first training on a real network.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "kernels/table.h"
#include "kernels/threads.h"
#include "runtime/evaluate.h"
#include "runtime/hidden_offset.h"
#include "tests/runtime/made_up_text.h"
#include "tests/runtime/small_network.h"
#include "tests/support/thread_group.h"

namespace golf {
namespace {

constexpr uint32_t kWindow = 64;

class RealNetwork : public testing::TestWithParam<Precision> {
 protected:
  struct Log : EvalObserver {
    std::vector<float> nll;
    Status Scored(const ScoredWindow& window) override {
      nll.insert(nll.end(), window.nll.begin(), window.nll.end());
      return {};
    }
  };

  static TttOptions Options(size_t epochs = 2) {
    TttOptions options;
    options.lr = 0.02;
    options.epochs = epochs;
    options.chunk_tokens = 128;
    options.batch_sequences = 2;
    options.fake_quant = FakeQuant{};
    return options;
  }

  std::vector<float> Nll(const TokenStream& stream, bool train, size_t batch = 8,
                         const TttOptions& options = Options(),
                         ProcessGroup& group = OneProcess()) {
    TensorSet weights = initial_.SameLayout();
    weights.CopyFrom(initial_);
    const WindowRule rule{kWindow, 16, Tail::kOnce};
    const auto factory = ExecutorsOf(*kernels_, *program_, weights);
    const auto windows = *MakeWindows(rule, stream.targets());
    const auto steps =
        train ? ScoreFirst(windows, stream.targets(), kWindow, options) : ScoreOnly(windows);
    WindowScorer scorer(factory, {rule, batch, GetParam()}, group);
    TttTrainer trainer = std::move(
        *TttTrainer::Create(*kernels_, factory, weights, options, kWindow, GetParam(), group));
    Log log;
    EvalObserver* observers[] = {&log};
    const ByteTable bytes = test::MadeUpBytes();
    const auto sums = Evaluate({stream, bytes, windows, steps}, scorer, &trainer, observers);
    EXPECT_TRUE(sums.ok()) << sums.status().message();
    return log.nll;
  }

  const std::unique_ptr<schema::ProgramT> program_ =
      BuildNetwork(test::SmallNetworkConfig(test::kVocab, kWindow));
  TensorSet initial_ = test::RandomWeights(*program_);
  const KernelTable* kernels_ = *CpuKernels();
};

INSTANTIATE_TEST_SUITE_P(Precisions, RealNetwork,
                         testing::Values(Precision::kFp32, Precision::kBf16), [](const auto& p) {
                           return p.param == Precision::kFp32 ? "fp32" : "bf16";
                         });

TEST_P(RealNetwork, TheFutureDoesNotReachBackWithTrainingOn) {
  const TokenStream stream = test::RandomStream(700);
  const auto original = Nll(stream, true);
  std::vector<size_t> cuts = {1,   15,  16,  63,  64,  65,  79,  80, 127,
                              128, 129, 256, 384, 511, 512, 640, 698};
  std::mt19937 rng(3);
  for (int i = 0; i < 6; ++i) cuts.push_back(1 + rng() % 698);
  for (size_t t : cuts) {
    std::vector<uint16_t> tokens(stream.tokens().begin(), stream.tokens().end());
    for (size_t i = t + 1; i < tokens.size(); ++i)
      tokens[i] = static_cast<uint16_t>(rng() % test::kVocab);
    const auto changed = Nll(*TokenStream::FromTokens(tokens, test::kVocab), true);
    // Target t - 1 predicts token t, the last one that is unchanged.
    EXPECT_TRUE(
        std::equal(original.begin(), original.begin() + static_cast<long>(t), changed.begin()))
        << "tokens behind " << t;
    EXPECT_NE(original.back(), changed.back());
  }
}

TEST_P(RealNetwork, BatchSizeDoesNotChangeABit) {
  const TokenStream stream = test::RandomStream(700);
  for (bool train : {false, true}) {
    const auto one = Nll(stream, train, 1);
    EXPECT_EQ(one, Nll(stream, train, 7));
    EXPECT_EQ(one, Nll(stream, train, 32));
  }
}

// The rotary tables of a network that was trained on 16 tokens depend on the window that was asked for.
TEST_P(RealNetwork, AWindowBeyondTheTextComputesNoMoreThanTheText) {
  for (const auto& step : program_->steps) {
    if (auto* op = step->operation.AsQkPrepare()) op->train_length = 16;
  }
  const TokenStream stream = test::RandomStream(100);
  const auto factory = ExecutorsOf(*kernels_, *program_, initial_);
  for (const WindowRule rule : {WindowRule{1000, 64, Tail::kOnce},
                                {1000, 1000, Tail::kOnce},
                                {1000, 30, Tail::kRepeat},
                                {1000, 30, Tail::kRepeatAll}}) {
    const WindowList windows = *MakeWindows(rule, stream.targets());
    const std::vector<EvalStep> steps = ScoreOnly(windows);
    const ByteTable bytes = test::MadeUpBytes();
    Log whole, fitted;
    size_t longest = 0;
    const ExecutorFactory measuring = [&](const ExecutorOptions& options) {
      longest = std::max(longest, options.length);
      return factory(options);
    };
    for (Log* log : {&whole, &fitted}) {
      longest = 0;
      const size_t targets = log == &whole ? SIZE_MAX : stream.targets();
      WindowScorer scorer(measuring, {rule, 4, GetParam(), targets});
      EvalObserver* observers[] = {log};
      ASSERT_TRUE(Evaluate({stream, bytes, windows, steps}, scorer, nullptr, observers).ok());
    }
    EXPECT_EQ(longest, stream.targets());
    EXPECT_EQ(fitted.nll, whole.nll);
  }
}

TEST_P(RealNetwork, ThreadsDoNotChangeABit) {
  const TokenStream stream = test::RandomStream(700);
  const int threads = Threads();
  SetThreads(1);
  const auto one = Nll(stream, true);
  SetThreads(2);
  EXPECT_EQ(one, Nll(stream, true));
  SetThreads(threads);
}

TEST_P(RealNetwork, TheSameRunGivesTheSameBits) {
  const TokenStream stream = test::RandomStream(700);
  EXPECT_EQ(Nll(stream, true), Nll(stream, true));
}

TEST_P(RealNetwork, ProcessesThatShareTheWindowsChangeNoBit) {
  const TokenStream stream = test::RandomStream(700);
  const auto one = Nll(stream, false);
  for (const size_t processes : {2, 3, 7}) {
    test::InThreads(processes, [&](ProcessGroup& group) {
      EXPECT_EQ(Nll(stream, false, 3, Options(), group), one) << processes;
    });
  }
}

// Sums over sequences in another order: rounding, and the same in every process and every time.
TEST_P(RealNetwork, ProcessesThatShareTheSequencesTrainAsOneDoes) {
  const TokenStream stream = test::RandomStream(1000);
  TttOptions options = Options();
  options.chunk_tokens = 320;
  options.batch_sequences = 5;
  const auto one = Nll(stream, true, 8, options);
  for (const size_t processes : {2, 3, 7}) {
    std::vector<std::vector<float>> first(processes), second(processes);
    for (auto* results : {&first, &second}) {
      test::InThreads(processes, [&](ProcessGroup& group) {
        (*results)[group.rank()] = Nll(stream, true, 8, options, group);
      });
    }
    EXPECT_EQ(first, second);
    for (const auto& nll : first) EXPECT_EQ(nll, first[0]);
    const double sum = std::accumulate(one.begin(), one.end(), 0.0),
                 shared = std::accumulate(first[0].begin(), first[0].end(), 0.0);
    EXPECT_NEAR(shared / static_cast<double>(one.size()), sum / static_cast<double>(one.size()),
                GetParam() == Precision::kFp32 ? 1e-6 : 1e-4)
        << processes;
  }
}

// An offset on the last hidden state that only learns from what was scored: nothing at first, causal, and of use.
TEST_P(RealNetwork, AHiddenOffsetIsTrainedScoreFirst) {
  std::mt19937 rng(5);
  std::vector<uint16_t> tokens(400);
  for (uint16_t& t : tokens)
    t = static_cast<uint16_t>(std::min(rng() % test::kVocab, rng() % test::kVocab));
  const TokenStream stream = *TokenStream::FromTokens(tokens, test::kVocab);
  TttOptions options = *TttPreset("slot");
  options.chunk_tokens = 128;
  options.epochs = 4;
  const auto still = Nll(stream, false);
  ASSERT_TRUE(AddHiddenOffset(*program_, initial_).ok());
  EXPECT_EQ(Nll(stream, false), still);
  const auto adapted = Nll(stream, true, 8, options);
  EXPECT_TRUE(std::equal(still.begin(), still.begin() + 128, adapted.begin()));
  EXPECT_LT(std::accumulate(adapted.begin(), adapted.end(), 0.0),
            std::accumulate(still.begin(), still.end(), 0.0));
  for (const size_t t : {127, 128, 300}) {
    std::vector<uint16_t> changed(tokens.begin(), tokens.end());
    for (size_t i = t + 1; i < changed.size(); ++i)
      changed[i] = static_cast<uint16_t>(rng() % test::kVocab);
    const auto nll = Nll(*TokenStream::FromTokens(changed, test::kVocab), true, 8, options);
    EXPECT_TRUE(std::equal(nll.begin(), nll.begin() + static_cast<ptrdiff_t>(t), adapted.begin()))
        << t;
  }
}

// On text with structure (each token depends on the one before) adaptation has to pay off: a network that starts with random
// weights, worse than chance, comes to beat chance on what it has not seen.
TEST_P(RealNetwork, TrainingLowersTheLossOfWhatComesLater) {
  std::vector<uint16_t> tokens = {1};
  std::mt19937 rng(5);
  while (tokens.size() < 1500)
    tokens.push_back(static_cast<uint16_t>((tokens.back() * 3 + rng() % 3) % test::kVocab));
  const TokenStream stream = *TokenStream::FromTokens(tokens, test::kVocab);
  const auto still = Nll(stream, false), adapted = Nll(stream, true, 8, Options(8));
  const auto late_mean = [](const std::vector<float>& nll) {
    return std::accumulate(nll.begin() + 1000, nll.end(), 0.0) /
           static_cast<double>(nll.size() - 1000);
  };
  EXPECT_GT(late_mean(still), std::log(test::kVocab));
  EXPECT_LT(late_mean(adapted), std::log(test::kVocab));
  EXPECT_TRUE(std::equal(still.begin(), still.begin() + 128,
                         adapted.begin()));  // the first chunk: nothing learnt yet
}

}  // namespace
}  // namespace golf
