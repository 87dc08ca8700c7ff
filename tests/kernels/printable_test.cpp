// One printable form for whatever comes from outside.
#include "kernels/base/printable.h"

#include <gtest/gtest.h>

namespace golf {
namespace {

TEST(Printable, LeavesPlainTextAlone) {
  for (const char* text : {"", "model.ptz", "a b\\c", "\u00fcber/\u65e5\u672c.bin", "\U0001F600"})
    EXPECT_EQ(Printable(text), text);
}

TEST(Printable, EscapesEveryControl) {
  EXPECT_EQ(Printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(Printable("one\ntwo\r\t\x7f"), "one\\x0atwo\\x0d\\x09\\x7f");
  EXPECT_EQ(Printable(std::string_view("\0x", 2)), "\\x00x");
  EXPECT_EQ(Printable("\u009b31m"), "\\u{9b}31m");
}

TEST(Printable, EscapesTextThatReordersOrHides) {
  EXPECT_EQ(Printable("a\u202eb\u2066c\u2069"), "a\\u{202e}b\\u{2066}c\\u{2069}");
  EXPECT_EQ(Printable("\u200b\u200f\u2028\u2029\ufeff\u061c"),
            "\\u{200b}\\u{200f}\\u{2028}\\u{2029}\\u{feff}\\u{61c}");
  EXPECT_EQ(Printable("x\U000E0041"), "x\\u{e0041}");
}

TEST(Printable, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(Printable("model\xe9.ptz"), "model\\xe9.ptz");
  EXPECT_EQ(Printable("\xc0\x9b"), "\\xc0\\x9b");                    // an overlong escape
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(Printable("\xe2\x82"), "\\xe2\\x82");                    // cut off
}

TEST(Printable, OfAPrintableFormIsTheSame) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string once = Printable(all);
  EXPECT_EQ(Printable(once), once);
  for (const char c : once) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
}

}  // namespace
}  // namespace golf
