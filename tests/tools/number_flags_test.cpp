#include "tools/number_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace golf {
namespace {

using testing::HasSubstr;

struct Values {
  uint64_t bytes = 0;
  uint32_t steps = 3;
  int threads = 0;
  std::optional<size_t> window;
  std::optional<double> seconds;
  double minutes = 10;
};

// The error of a command line, or "" if there is none.
std::string Parse(std::vector<std::string> arguments, Values& values) {
  CLI::App app{"A program."};
  AddBytes(app, "--max-bytes", values.bytes, "");
  AddCount(app, "--steps", values.steps, "");
  AddCount(app, "--threads", values.threads, "", {1, 4096});
  AddCount(app, "--window", values.window, "", {.lowest = 1});
  AddReal(app, "--seconds", values.seconds, "", {.lowest = kAboveZero});
  AddReal(app, "--minutes", values.minutes, "")->capture_default_str();
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(NumberFlags, TakeNumbersOfEveryType) {
  Values values;
  EXPECT_EQ(Parse({"--max-bytes", "016MB", "--steps=0100", "--threads", "4", "--window", "2_048",
                   "--seconds", "0.5", "--minutes", "0"},
                  values),
            "");
  EXPECT_EQ(values.bytes, 16'000'000U);
  EXPECT_EQ(values.steps, 100U);
  EXPECT_EQ(values.threads, 4);
  EXPECT_EQ(values.window, 2048U);
  EXPECT_EQ(values.seconds, 0.5);
  EXPECT_EQ(values.minutes, 0);
}

TEST(NumberFlags, NameTheFlagAndTheRangeAndWhatWasFound) {
  Values values;
  EXPECT_EQ(Parse({"--threads", "0"}, values),
            "--threads: expected a whole number from 1 to 4096, found '0'");
  EXPECT_EQ(Parse({"--steps", "4294967296"}, values),
            "--steps: expected a whole number from 0 to 4294967295, found '4294967296'");
  EXPECT_EQ(Parse({"--max-bytes", "-1"}, values),
            "--max-bytes: expected bytes (such as 16000000, 16_000_000, 16e6, 16MB or 16MiB) of at "
            "least 1, found '-1'");
  EXPECT_EQ(Parse({"--seconds", "nan"}, values),
            "--seconds: expected a number above 0, found 'nan'");
  EXPECT_EQ(Parse({"--minutes", "-0.5"}, values),
            "--minutes: expected a number of at least 0, found '-0.5'");
  EXPECT_EQ(values.bytes, 0U);  // nothing is set by a number that is refused
  EXPECT_EQ(values.steps, 3U);
}

TEST(NumberFlags, MessagesAreShort) {
  for (const char* flag :
       {"--max-bytes", "--steps", "--threads", "--window", "--seconds", "--minutes"}) {
    Values values;
    for (const std::string& value :
         {std::string(308, '9') + "x", std::string("1e999"), std::string()}) {
      const std::string message = Parse({flag, value}, values);
      EXPECT_THAT(message, HasSubstr(flag));
      EXPECT_LT(message.size(), 160U) << message;
    }
  }
}

TEST(NumberFlags, ShowTheirDefaults) {
  CLI::App app{"A program."};
  double minutes = 10;
  uint64_t steps = 64;
  AddReal(app, "--minutes", minutes, "Time")->capture_default_str();
  AddCount(app, "--steps", steps, "Steps")->capture_default_str()->type_name("N");
  EXPECT_THAT(app.help(), HasSubstr("10"));
  EXPECT_THAT(app.help(), HasSubstr("64"));
}

}  // namespace
}  // namespace golf
