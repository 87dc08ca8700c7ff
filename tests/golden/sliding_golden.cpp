// Sliding windows over a stream, and windows side by side: every NLL, its position and bytes, and the resulting loss and
// bits per byte.
#include <gtest/gtest.h>

#include "tests/golden/scoring_case.h"

namespace golf::test {
namespace {

Result<ScoreSums> Score(const ScoringCase& s, const TokenStream& stream, const WindowRule& rule,
                        size_t batch, ScoreRecorder& recorder) {
  const auto windows = *MakeWindows(rule, stream.targets());
  const auto steps = ScoreOnly(windows);
  WindowScorer scorer(s.Factory(), {rule, batch, Precision::kFp32});
  EvalObserver* observers[] = {&recorder};
  return Evaluate({stream, s.byte_table, windows, steps}, scorer, nullptr, observers);
}

}  // namespace

void SlidingGolden(const GoldenCase& c) {
  const ScoringCase s(c);
  const size_t batch = c.run().at("batch_seqs");
  const Tail tail = c.pr == 598 || c.pr == 668 ? Tail::kRepeat : Tail::kRepeatAll;

  ScoreRecorder sliding;
  const auto sums = Score(s, s.stream, {s.window, c.run().at("stride"), tail}, batch, sliding);
  ASSERT_TRUE(sums.ok()) << sums.status().message();
  c.Expect("nll", sliding.nll);
  c.ExpectInts("position", sliding.position);
  c.ExpectInts("bytes", sliding.bytes);
  std::vector<int32_t> windows;  // without the chunk
  for (size_t i = 0; i < sliding.windows.size(); ++i) {
    if (i % 4 != 0) windows.push_back(sliding.windows[i]);
  }
  c.ExpectInts("windows", windows);
  c.ExpectScalar("val_loss", sums->loss_nats());
  c.ExpectScalar("val_bpb", sums->bits_per_byte());
  c.ExpectScalar("scored_tokens", static_cast<double>(sums->targets));
  c.ExpectScalar("scored_bytes", static_cast<double>(sums->bytes));

  TokenStream whole = s.stream;
  ASSERT_TRUE(whole.CutToWholeWindows(s.window).ok());
  ScoreRecorder plain;
  const auto plain_sums = Score(s, whole, {s.window, s.window, Tail::kOnce}, batch, plain);
  ASSERT_TRUE(plain_sums.ok()) << plain_sums.status().message();
  c.ExpectScalar("eval_val_loss", plain_sums->loss_nats());
  c.ExpectScalar("eval_val_bpb", plain_sums->bits_per_byte());
}

}  // namespace golf::test
