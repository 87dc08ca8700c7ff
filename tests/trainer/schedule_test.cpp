#include "trainer/schedule.h"

#include <gtest/gtest.h>

namespace golf {
namespace {

ScheduleSettings Steps(uint64_t iterations, uint64_t warmdown) {
  ScheduleSettings s;
  s.iterations = iterations;
  s.warmdown_iters = warmdown;
  return s;
}

TEST(Schedule, StepsOfThePublishedRuns) {
  const ScheduleSettings pr598 = Steps(7000, 3500), pr668 = Steps(30000, 18000);
  EXPECT_EQ(LearningRateFactor(pr598, 3499, 0), 1);
  EXPECT_NEAR(LearningRateFactor(pr598, 5000, 0), 0.571428, 1e-6);
  EXPECT_EQ(LearningRateFactor(pr598, 6475, 0), 0.15);
  EXPECT_NEAR(LearningRateFactor(pr598, 6999, 0), 2.857e-4, 1e-7);
  EXPECT_EQ(LearningRateFactor(pr668, 12000, 0), 1);
  EXPECT_EQ(LearningRateFactor(pr668, 21000, 0), 0.5);
  EXPECT_NEAR(LearningRateFactor(pr668, 29999, 0), 5.556e-5, 1e-8);
  EXPECT_NEAR(MuonMomentum({}, 750), 0.955, 1e-12);
  EXPECT_EQ(MuonMomentum({}, 5000), 0.99);
}

TEST(Schedule, WarmupRisesToOne) {
  ScheduleSettings s = Steps(100, 0);
  s.warmup_iters = 4;
  EXPECT_EQ(LearningRateFactor(s, 0, 0), 0.25);
  EXPECT_EQ(LearningRateFactor(s, 3, 0), 1);
  EXPECT_EQ(LearningRateFactor(s, 99, 0), 1);
}

TEST(Schedule, WallClockEndsAtItsCap) {
  ScheduleSettings s = Steps(1'000'000, 100);
  s.max_wallclock_seconds = 10;
  EXPECT_EQ(LearningRateFactor(s, 0, 0), 1);
  EXPECT_EQ(LearningRateFactor(s, 400, 4000), 1);  // 10 ms a step: the last second is warmdown
  EXPECT_NEAR(LearningRateFactor(s, 950, 9500), 0.5, 1e-9);
  EXPECT_FALSE(ScheduleFinished(s, 950, 9999));
  EXPECT_TRUE(ScheduleFinished(s, 950, 10000));
  EXPECT_TRUE(ScheduleFinished(Steps(5, 1), 5, 0));
}

TEST(Schedule, LateQatIsStrictAndStays) {
  const LateQatSettings q = {true, 0.15, {}};
  EXPECT_FALSE(LateQatOn(q, false, 0.15));
  EXPECT_TRUE(LateQatOn(q, false, 0.1499));
  EXPECT_TRUE(LateQatOn(q, true, 1));
  EXPECT_FALSE(LateQatOn({false, 0.15, {}}, false, 0.01));
}

// PR 1004 at 97.8 ms a step: the decay starts near step 2,534.
TEST(Schedule, WallClockOfPr1004) {
  ScheduleSettings s = Steps(20'000, 3500);
  s.max_wallclock_seconds = 590;
  const auto factor = [&s](uint64_t step) {
    return LearningRateFactor(s, step, 97.8 * static_cast<double>(step));
  };
  EXPECT_EQ(factor(2530), 1);
  EXPECT_LT(factor(2535), 1);
  EXPECT_NEAR(factor(4284), 0.5, 2e-3);
  EXPECT_TRUE(ScheduleFinished(s, 6034, 590'030));
}

TEST(Schedule, SoftRoundingSharpensBelowTheThreshold) {
  LateQatSettings q;
  q.threshold = 0.1;
  EXPECT_EQ(SoftRoundSharpness(q, 1), 1);
  EXPECT_EQ(SoftRoundSharpness(q, 0.1), 1);
  EXPECT_DOUBLE_EQ(SoftRoundSharpness(q, 0.05), 8.5);
  EXPECT_EQ(SoftRoundSharpness(q, 0), kHardestRounding);
}

TEST(Schedule, SnapshotsAreLateAndRegular) {
  const SwaSettings swa = {50, 0.2, SwaSettings::Source::kRaw};
  EXPECT_TRUE(SwaSnapshotDue(swa, 5350, 0.199));
  EXPECT_FALSE(SwaSnapshotDue(swa, 5350, 0.2));
  EXPECT_FALSE(SwaSnapshotDue(swa, 5351, 0.1));
  EXPECT_FALSE(SwaSnapshotDue({}, 5350, 0.1));
}

}  // namespace
}  // namespace golf
