#include "tools/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
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

// What is written to a terminal of 30 columns.
std::string OnATerminal(const std::function<void()>& write) {
  int terminal = -1, program = -1;
  const winsize size = {24, 30, 0, 0};
  EXPECT_EQ(openpty(&terminal, &program, nullptr, nullptr, &size), 0);
  const int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
  dup2(program, STDOUT_FILENO);
  dup2(program, STDERR_FILENO);
  write();
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  // The system hands text over bit by bit; a mark behind it tells its end.
  const std::string end = "<end>";
  EXPECT_EQ(::write(program, end.data(), end.size()), static_cast<ssize_t>(end.size()));
  std::string text;
  char buffer[4096];
  while (!text.ends_with(end)) {
    const ssize_t n = read(terminal, buffer, sizeof buffer);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  for (const int descriptor : {terminal, program, out, err}) close(descriptor);
  return text.substr(0, text.size() - std::min(text.size(), end.size()));
}

TEST(Progress, IsCutToTheTerminalAndResultsStandOnTheirOwnLines) {
  const std::string text = OnATerminal([] {
    Progress progress("scoring and training", 1'000'000, "window passes", {});
    progress.Finish();
    RewriteLine("scoring \u00fc" + std::string(50, '.'));
    Print("bpb {}\n", "1\x1b[2J\n");
    RewriteLine("again");
    Say("a message");
  });
  EXPECT_EQ(text,
            "\rscoring and training: 0 of 1,\x1b[K\r\n"
            "\rscoring \u00fc....................\x1b[K\r\nbpb 1\\x1b[2J\\x0a\r\n"
            "\ragain\x1b[K\r\na message\r\n");
}

TEST(Rate, HasThreeDigits) {
  EXPECT_EQ(Rate(0.04123), "0.0412");
  EXPECT_EQ(Rate(5.2149), "5.21");
  EXPECT_EQ(Rate(99.96), "100");
  EXPECT_EQ(Rate(1234.4), "1,234");
  EXPECT_EQ(Rate(0), "0");
}

TEST(Finish, EscapesWhatAMessageHolds) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Finish({Code::kBadData, "a\x1b[31m\nb"}), 4);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(": error: a\\x1b[31m\\x0ab\n"));
}

TEST(StopRequestedDeathTest, HangingUpTwiceIsOneStop) {
  EXPECT_EXIT(
      {
        std::signal(SIGHUP, SIG_DFL);
        if (StopRequested()) std::exit(1);
        raise(SIGHUP);
        raise(SIGHUP);
        std::exit(StopRequested() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        std::signal(SIGHUP, SIG_IGN);  // nohup
        StopRequested();
        raise(SIGHUP);
        std::exit(StopRequested() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

TEST(StopRequestedDeathTest, BecomesTrueWithASignalAndTheSecondOneEnds) {
  EXPECT_FALSE(StopRequested());
  EXPECT_EXIT(  // in a child, for the flag is the whole process's
      {
        SaveBeforeStopping();
        raise(SIGTERM);
        if (!StopRequested()) std::exit(1);
        raise(SIGTERM);  // of the same stop, as timeout(1) sends it
        raise(SIGINT);
        usleep(600'000);
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(
      {
        SaveBeforeStopping();
        StopRequested();
        raise(SIGTERM);
        raise(SIGTERM);
        std::exit(StopRequested() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace golf
