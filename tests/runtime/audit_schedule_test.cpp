// The verifier's computation of records against the scorer's own, for many settings.
#include "runtime/audit_schedule.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "runtime/audit_log.h"
#include "runtime/eval_steps.h"
#include "tests/runtime/fake_executor.h"

namespace golf {
namespace {

class Lines : public AuditRecords {
 public:
  Lines() : AuditRecords(std::string(64, 'a')) {}
  std::vector<nlohmann::json> records;

 private:
  Status Take(const std::string& line) override {
    records.push_back(nlohmann::json::parse(line));
    return {};
  }
};

// The records of an evaluation that costs nothing.
std::vector<nlohmann::json> RecordsOf(const WindowList& windows, std::span<const EvalStep> steps,
                                      const AuditSettings& s) {
  Lines lines;
  const TensorSet weights = test::FakeWeights();
  for (const EvalStep& step : steps) {
    if (step.kind == EvalStep::Kind::kTrain) {
      const uint64_t sequences = (step.end - step.begin) / s.window;
      const uint64_t updates = (sequences + s.training->batch - 1) / s.training->batch;
      const std::vector<TrainUpdate> all(updates * s.training->epochs, {1, 1});
      EXPECT_TRUE(lines.Trained({step, all, weights}).ok());
      continue;
    }
    for (const Window& window : windows.Slice(step.begin, step.end)) {
      const std::vector<float> nll(window.count, 1.0F);
      const std::vector<uint32_t> bytes(window.count, 1);
      EXPECT_TRUE(lines.Scored({window, step.chunk, nll, bytes, {}}).ok());
    }
  }
  EXPECT_TRUE(lines.End().ok());
  return lines.records;
}

void Compare(const std::vector<nlohmann::json>& records, const AuditSettings& settings) {
  AuditSchedule schedule(settings);
  uint64_t reached = 0;
  for (const nlohmann::json& record : records) {
    const ExpectedRecord expected = schedule.Next();
    using Kind = ExpectedRecord::Kind;
    const std::string type = record["type"];
    ASSERT_EQ(type, expected.kind == Kind::kScore   ? "score"
                    : expected.kind == Kind::kTrain ? "train"
                                                    : "end");
    if (type == "end") continue;
    ASSERT_EQ(record["range"], (nlohmann::json{expected.begin, expected.end}));
    if (type == "score") {
      ASSERT_EQ(record["starts"], (nlohmann::json{expected.first_start, expected.last_start}));
      reached = std::max(reached, expected.end);
    } else {
      ASSERT_EQ(record["updates"], expected.updates);
      ASSERT_NEAR(record["lr"].get<double>(), expected.lr, 1e-15);
    }
  }
  EXPECT_EQ(reached, schedule.reached());
}

TEST(AuditSchedule, IsThatOfTheScorerForAnySettings) {
  std::mt19937 random(5);
  const auto up_to = [&](size_t n) { return 1 + random() % n; };
  using Schedule = TttOptions::Schedule;
  for (int i = 0; i < 600; ++i) {
    AuditSettings s;
    s.window = up_to(i % 3 == 0 ? 300 : 20);
    s.stride = i % 5 == 0 ? s.window : up_to(s.window);
    const bool once = i % 2 == 0;
    s.targets = once ? up_to(i % 7 == 0 ? 9000 : 700) : s.window * up_to(12);
    Tail tail = once ? Tail::kOnce : Tail::kRepeat;
    TttOptions options;
    if (i % 4 != 3) {
      options.chunk_tokens = s.window + random() % 200;
      options.epochs = up_to(3);
      options.batch_sequences = up_to(4);
      options.schedule = std::array{Schedule::kConstant, Schedule::kCosine,
                                    Schedule::kWarmupCosine}[static_cast<size_t>(i % 3)];
      using Rate = AuditSettings::Rate;
      s.training = {options.chunk_tokens, options.epochs, options.batch_sequences, options.lr,
                    std::array{Rate::kConstant, Rate::kCosine,
                               Rate::kWarmupCosine}[static_cast<size_t>(i % 3)]};
    }
    if (!once && !s.training && i % 8 == 3) tail = Tail::kRepeatAll;
    using Tails = AuditSettings::Tail;
    s.tail = once ? Tails::kOnce : tail == Tail::kRepeat ? Tails::kRepeat : Tails::kRepeatAll;
    SCOPED_TRACE(testing::Message()
                 << "targets " << s.targets << ", window " << s.window << ", stride " << s.stride
                 << (once ? ", once" : "") << (s.training ? ", chunk " : "")
                 << (s.training ? s.training->chunk : 0));
    const WindowRule rule{s.window, s.stride, tail};
    const auto windows = *MakeWindows(rule, s.targets);
    const auto steps =
        s.training ? ScoreFirst(windows, s.targets, s.window, options) : ScoreOnly(windows);
    Compare(RecordsOf(windows, steps, s), s);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace golf
