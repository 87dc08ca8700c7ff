#include "kernels/base/numbers.h"

#include <gtest/gtest.h>

#include <limits>

namespace golf {
namespace {

TEST(Numbers, AreDecimalWhateverTheyBeginWith) {
  EXPECT_EQ(ParseCount("0"), 0U);
  EXPECT_EQ(ParseCount("0100"), 100U);
  EXPECT_EQ(ParseCount("016000000"), 16'000'000U);
  EXPECT_EQ(ParseCount("0000000000000000000000000000000000000007"), 7U);
  EXPECT_EQ(ParseCount("18446744073709551615"), std::numeric_limits<uint64_t>::max());
}

TEST(Numbers, HaveTheFormsThatPeopleUse) {
  for (const char* text : {"16000000", "16_000_000", "16e6", "1.6e7", "0.016e9", "16E6", "1600e4"})
    EXPECT_EQ(ParseCount(text), 16'000'000U) << text;
  for (const char* text : {"16MB", "16mb", "16 MB", "16000kB", "0.016GB", "16000000B", "16e6"})
    EXPECT_EQ(ParseBytes(text), 16'000'000U) << text;
  EXPECT_EQ(ParseBytes("16MiB"), 16'777'216U);
  EXPECT_EQ(ParseBytes("1.5MiB"), 1'572'864U);
  EXPECT_EQ(ParseBytes("0.5KiB"), 512U);
  EXPECT_EQ(ParseCount("1e19"), 10'000'000'000'000'000'000U);
  EXPECT_EQ(ParseCount("2.0"), 2U);
  EXPECT_EQ(ParseCount("0e999"), 0U);
}

TEST(Numbers, AreRefusedWhereTheyDoNotFitOrMeanSomethingElse) {
  for (const char* text : {"",
                           " ",
                           "-1",
                           "+1",
                           "-0",
                           "0x10",
                           "0b1",
                           "0o17",
                           "1.5",
                           "1e-3",
                           "1,000",
                           "1__0",
                           "_1",
                           "1_",
                           "1 ",
                           " 1",
                           "1e",
                           "e6",
                           ".5",
                           "1.",
                           "1.e3",
                           "nan",
                           "inf",
                           "16MB",
                           "ten",
                           "1;",
                           "1e20",
                           "18446744073709551616",
                           "99999999999999999999999",
                           "1e999",
                           "1e99999999999999999999",
                           "0.00000000000000000000000000000000000001",
                           "\xD9\xA1"}) {
    EXPECT_EQ(ParseCount(text), std::nullopt) << text;
  }
  for (const char* text : {"16M", "16  MB", "MB", "16 MB ", "1.5B", "-1MB", "16TB", "99999999999GB",
                           "0.3KiB", "16e6 tokens"}) {
    EXPECT_EQ(ParseBytes(text), std::nullopt) << text;
  }
}

TEST(Numbers, EveryCountIsReadAsItIsWritten) {
  for (uint64_t n = 1, step = 1; step != 0; n = n * 3 + 7, step <<= 1) {
    EXPECT_EQ(ParseCount(std::to_string(n)), n);
    EXPECT_EQ(ParseBytes("00" + std::to_string(n) + "B"), n);
  }
}

TEST(Numbers, RealOnesAreFinite) {
  EXPECT_EQ(ParseReal("0.5"), 0.5);
  EXPECT_EQ(ParseReal("-2e-3"), -0.002);
  EXPECT_EQ(ParseReal("010"), 10);
  EXPECT_EQ(ParseReal("1_000.5"), 1000.5);
  EXPECT_EQ(ParseReal("1e308"), 1e308);
  for (const char* text : {"", "nan", "NaN", "inf", "-inf", "infinity", "1e999", "-1e999", "1e-999",
                           "0x1p3", "1..2", "1,5", " 1", "1 ", "1s", "_1", "+1"}) {
    EXPECT_EQ(ParseReal(text), std::nullopt) << text;
  }
}

TEST(Numbers, LongTextsAreShortenedForMessages) {
  EXPECT_EQ(Shortened("-1"), "-1");
  EXPECT_EQ(Shortened(std::string(308, '9')), std::string(40, '9') + "...");
}

}  // namespace
}  // namespace golf
