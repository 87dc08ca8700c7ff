#include "tools/time_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/cli.h"

namespace golf {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

// A program that takes `seconds` under the limits that its command line sets; what it printed to stderr goes to `printed`.
int RunFor(double seconds, std::vector<const char*> arguments, std::string& printed) {
  CLI::App app{"A program."};
  std::optional<double> limit;
  OverTime over_time = OverTime::kFail;
  AddTimeLimit(app, "--max-seconds", limit, "A limit");
  AddOverTimeFlag(app, over_time);
  arguments.insert(arguments.begin(), "program");
  testing::internal::CaptureStderr();
  const int code =
      RunProgram(app, static_cast<int>(arguments.size()), const_cast<char**>(arguments.data()),
                 [&] { return CheckSeconds("work", seconds, "--max-seconds", limit, over_time); });
  printed = testing::internal::GetCapturedStderr();
  return code;
}

TEST(TimeLimit, IsExceededByMoreOnlyAndFailsUnlessToldToWarn) {
  std::string printed;
  EXPECT_EQ(RunFor(9, {}, printed), 0);
  EXPECT_EQ(RunFor(2, {"--max-seconds", "2"}, printed), 0);
  EXPECT_EQ(printed, "");
  EXPECT_EQ(RunFor(2.5, {"--max-seconds", "2"}, printed), 5);
  EXPECT_THAT(printed, EndsWith(": error: work took 2.5 s, --max-seconds is 2\n"));
  EXPECT_EQ(RunFor(2.5, {"--max-seconds", "2", "--over-time", "fail"}, printed), 5);
  EXPECT_EQ(RunFor(2.5, {"--max-seconds", "2", "--over-time", "warn"}, printed), 0);
  EXPECT_THAT(printed, EndsWith(": warning: work took 2.5 s, --max-seconds is 2\n"));
  EXPECT_EQ(RunFor(2, {"--max-seconds", "2", "--over-time", "warn"}, printed), 0);
  EXPECT_EQ(printed, "");
}

TEST(TimeLimit, RefusesWhatIsNoLimitAndNoAnswer) {
  std::string printed;
  EXPECT_EQ(RunFor(1, {"--max-seconds", "0"}, printed), 2);
  EXPECT_EQ(RunFor(1, {"--max-seconds", "-1"}, printed), 2);
  EXPECT_EQ(RunFor(1, {"--over-time", "ignore"}, printed), 2);
  EXPECT_THAT(printed, HasSubstr("--over-time"));
}

}  // namespace
}  // namespace golf
