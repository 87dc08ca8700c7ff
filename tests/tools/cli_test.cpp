#include "tools/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace golf {
namespace {

using testing::HasSubstr;

int RunWith(std::vector<const char*> arguments, const std::function<Status()>& body) {
  CLI::App app{"A program."};
  OutputFlags output;
  AddOutputFlags(app, output);
  arguments.insert(arguments.begin(), "program");
  return RunProgram(app, static_cast<int>(arguments.size()), const_cast<char**>(arguments.data()),
                    body);
}

TEST(RunProgram, ReturnsTheCodeAndPrintsTheMessage) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunWith({}, [] { return Status(Code::kOverBudget, "17 bytes too many"); }), 5);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(": error: 17 bytes too many\n"));
  EXPECT_EQ(RunWith({}, [] { return Status(); }), 0);
}

TEST(RunProgram, RefusesAnUnknownFlagAsUsage) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunWith({"--nonsense"}, [] { return Status(); }), 2);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("--nonsense"));
}

TEST(RunProgram, TurnsExceptionsIntoCodes) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunWith({}, []() -> Status { throw std::runtime_error("a bug"); }), 70);
  EXPECT_EQ(RunWith({}, []() -> Status { throw std::bad_alloc(); }), 3);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("a bug"));
}

TEST(Grouped, PutsCommasBetweenThousands) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(16'000'000), "16,000,000");
}

TEST(Duration, IsAsPeopleSayIt) {
  EXPECT_EQ(Duration(4.25), "4.2 s");
  EXPECT_EQ(Duration(187), "3 min 07 s");
  EXPECT_EQ(Duration(7500), "2 h 05 min");
}

TEST(Progress, IsSilentWhenAskedAndForShortSteps) {
  testing::internal::CaptureStderr();
  for (const OutputFlags output :
       {OutputFlags{.json = true}, OutputFlags{.quiet = true}, OutputFlags{}}) {
    Progress progress("step", 100, "tokens", output);
    progress.Update(50);
  }
  Progress silent("step", 100, "tokens", {.quiet = true});
  silent.Finish();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, PrintsItsEndWhenAsked) {
  testing::internal::CaptureStderr();
  Progress progress("score", 2000, "tokens", {});
  progress.Update(2000);
  progress.Finish();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("score: 2,000 of 2,000 tokens (100.0 %)"));
}

TEST(StopRequestedDeathTest, BecomesTrueWithASignalAndTheSecondOneEnds) {
  EXPECT_FALSE(StopRequested());
  EXPECT_EXIT(  // in a child, for the flag is the whole process's
      {
        raise(SIGTERM);
        if (!StopRequested()) std::exit(1);
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace golf
