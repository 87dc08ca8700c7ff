#include "runtime/scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/evaluate.h"
#include "tests/runtime/fake_executor.h"
#include "tests/runtime/made_up_text.h"
#include "tests/support/thread_group.h"

namespace golf {
namespace {

using test::FakeCalls;
using test::FakeExecutors;
using test::FakeWeights;
using test::kVocab;
using test::MadeUpBytes;
using test::RandomStream;

struct AllScores : EvalObserver {
  std::vector<float> nll;
  std::vector<size_t> target;
  Status Scored(const ScoredWindow& w) override {
    nll.insert(nll.end(), w.nll.begin(), w.nll.end());
    for (size_t t = w.window.first_target(); t < w.window.end_target(); ++t) target.push_back(t);
    return {};
  }
};

struct Outcome {
  ScoreSums sums;
  AllScores scores;
  FakeCalls calls;
};

Outcome Score(const TokenStream& stream, const WindowRule& rule, size_t batch) {
  Outcome outcome;
  const TensorSet weights = FakeWeights();
  const ByteTable bytes = MadeUpBytes();
  const auto windows = *MakeWindows(rule, stream.targets());
  const auto steps = ScoreOnly(windows);
  WindowScorer scorer(FakeExecutors(weights, outcome.calls), {rule, batch, Precision::kFp32});
  EvalObserver* observers[] = {&outcome.scores};
  outcome.sums = *Evaluate({stream, bytes, windows, steps}, scorer, nullptr, observers);
  return outcome;
}

TEST(Scorer, ScoresEveryTargetOnceInStreamOrder) {
  const TokenStream stream = RandomStream(1000);
  const Outcome outcome = Score(stream, {64, 16, Tail::kOnce}, 8);
  ASSERT_EQ(outcome.scores.target.size(), stream.targets());
  for (size_t t = 0; t < stream.targets(); ++t) EXPECT_EQ(outcome.scores.target[t], t);
  EXPECT_EQ(outcome.sums.targets, stream.targets());
}

TEST(Scorer, BytesAreThoseOfTheTextAndSumsAreInStreamOrder) {
  const TokenStream stream = RandomStream(500);
  const ByteTable table = MadeUpBytes();
  const Outcome outcome = Score(stream, {32, 8, Tail::kOnce}, 4);
  uint64_t bytes = 0;
  double nll = 0;
  for (size_t t = 0; t < stream.targets(); ++t) {
    bytes += table.Count(stream.tokens()[t], stream.tokens()[t + 1]);
    nll += static_cast<double>(outcome.scores.nll[t]);
  }
  EXPECT_EQ(outcome.sums.bytes, bytes);
  EXPECT_EQ(outcome.sums.nll_nats, nll);
  EXPECT_DOUBLE_EQ(outcome.sums.bits_per_byte(), nll / std::log(2.0) / static_cast<double>(bytes));
  EXPECT_DOUBLE_EQ(outcome.sums.loss_nats(), nll / static_cast<double>(stream.targets()));
}

TEST(Scorer, BatchSizeChangesNothing) {
  const TokenStream stream = RandomStream(700);
  const Outcome one = Score(stream, {64, 16, Tail::kRepeat}, 1);
  for (size_t batch : {7, 32, 1000}) {
    const Outcome other = Score(stream, {64, 16, Tail::kRepeat}, batch);
    EXPECT_EQ(one.scores.nll, other.scores.nll);
    EXPECT_EQ(one.sums.nll_nats, other.sums.nll_nats);
  }
}

TEST(Scorer, PlansAreMadePerSizeAndKept) {
  const Outcome outcome = Score(RandomStream(64 + 16 * 21 + 1), {64, 16, Tail::kOnce}, 8);
  // The first window alone with all rows, two full batches, five windows left over.
  EXPECT_THAT(outcome.calls.plans,
              testing::UnorderedElementsAre(std::pair(1UL, 64UL), std::pair(8UL, 16UL),
                                            std::pair(5UL, 16UL)));
  EXPECT_EQ(outcome.calls.score_passes, 4U);
}

TEST(Scorer, PaddingBehindShortWindowsIsNotCounted) {
  const Outcome outcome = Score(RandomStream(11), {64, 16, Tail::kOnce}, 8);
  EXPECT_EQ(outcome.sums.targets, 10U);
}

TEST(Scorer, ANumberThatIsNoneEndsWithItsTarget) {
  const TokenStream stream = RandomStream(100);
  TensorSet weights = FakeWeights();
  weights[0][0] = std::nanf("");
  FakeCalls calls;
  const WindowRule rule{32, 8, Tail::kOnce};
  WindowScorer scorer(FakeExecutors(weights, calls), {rule, 4, Precision::kFp32});
  std::vector<float> nll;
  const auto windows = *MakeWindows(rule, stream.targets());
  const Status status = scorer.Score(stream, windows.Slice(0, 1), nll);
  EXPECT_EQ(status.code(), Code::kBadNumbers);
  EXPECT_THAT(status.message(), testing::HasSubstr("target 0 "));
}

// The last of three windows is rank 1's.
TEST(Scorer, ANumberThatIsNoneEndsEveryProcessWithItsTarget) {
  const TokenStream stream = RandomStream(100);
  const WindowRule rule{32, 8, Tail::kOnce};
  const auto windows = *MakeWindows(rule, stream.targets());
  test::InThreads(2, [&](ProcessGroup& group) {
    TensorSet weights = FakeWeights();
    weights[0][0] = group.rank() == 1 ? std::nanf("") : 0;
    FakeCalls calls;
    WindowScorer scorer(FakeExecutors(weights, calls), {rule, 4, Precision::kFp32}, group);
    EXPECT_EQ(scorer.NextBatch(windows.Slice(1, windows.size())), 8U);
    std::vector<float> nll;
    const Status status = scorer.Score(stream, windows.Slice(1, 4), nll);
    EXPECT_EQ(status.code(), Code::kBadNumbers);
    EXPECT_THAT(status.message(), testing::HasSubstr("rank 1: the NLL of target 40 "));
  });
}

TEST(Scorer, ATextOfNoBytesHasNoBitsPerByte) {
  const ByteTable table = MadeUpBytes();
  const TokenStream control = *TokenStream::FromTokens({20, 0, 1, 1, 0}, kVocab);
  EXPECT_EQ(CheckHasBytes(control, table).code(), Code::kBadData);
  EXPECT_THAT(CheckHasBytes(control, table).message(), testing::HasSubstr("each of its 4 targets"));
  EXPECT_TRUE(CheckHasBytes(*TokenStream::FromTokens({0, 1, 2}, kVocab), table).ok());
}

TEST(TokenStreams, RefuseIdsBeyondTheVocabulary) {
  const auto stream = TokenStream::FromTokens({1, 2, 50}, kVocab);
  EXPECT_EQ(stream.status().code(), Code::kBadData);
  EXPECT_THAT(stream.status().message(), testing::HasSubstr("token 2 is 50"));
  EXPECT_FALSE(TokenStream::FromTokens({1}, kVocab).ok());
}

TEST(TokenStreams, CutKeepsWholeWindowsAndTheLastTarget) {
  TokenStream stream = RandomStream(1500);
  EXPECT_TRUE(stream.CutToWholeWindows(64).ok());
  EXPECT_EQ(stream.tokens().size(), 1473U);
  EXPECT_EQ(RandomStream(64).CutToWholeWindows(64).code(), Code::kBadData);
}

}  // namespace
}  // namespace golf
