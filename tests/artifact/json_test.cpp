// The one door for JSON: limits, typed fields, and text that is safe to print.
#include "artifact/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using testing::HasSubstr;

std::string ErrorOf(std::string_view text, const JsonLimits& limits = {}) {
  const Result<json> parsed = ParseJson(text, limits);
  if (parsed.ok()) return "";
  EXPECT_EQ(parsed.status().code(), Code::kBadData);
  return parsed.status().message();
}

TEST(ParseJson, SaysWhereATextIsNotJson) {
  EXPECT_THAT(ErrorOf("{\"a\": 1,\n \"b\": }"), HasSubstr("not JSON: line 2, column 7: "));
  EXPECT_THAT(ErrorOf(""), HasSubstr("not JSON: line 1, column 1: "));
  EXPECT_THAT(ErrorOf("[1e999]"), HasSubstr("not JSON: "));
  EXPECT_THAT(ErrorOf("\"\xff\""), HasSubstr("invalid string: ill-formed UTF-8 byte"));
  EXPECT_LT(ErrorOf("[" + std::string(1 << 20, 'x') + "]").size(), 200U);
}

TEST(ParseJson, BoundsSizeDepthAndValues) {
  EXPECT_THAT(ErrorOf("[[[]]]", {.max_depth = 2}), HasSubstr("nested deeper than 2"));
  EXPECT_EQ(ErrorOf("[[]]", {.max_depth = 2}), "");
  EXPECT_THAT(ErrorOf("[1,2,3]", {.max_values = 2}), HasSubstr("more than 2 values"));
  EXPECT_THAT(ErrorOf("[1,2]", {.max_bytes = 4}), HasSubstr("5 bytes, expected at most 4"));
  EXPECT_EQ(ErrorOf("[\"[[[[,,,,{{{\\\"[[\"]", {.max_depth = 1, .max_values = 1}), "");
  EXPECT_THAT(ErrorOf(std::string(size_t{1} << 25, '[')), HasSubstr("nested deeper"));
}

// An ordered object compares each key with all before it: 200,000 of them would take minutes.
TEST(ParseJson, BoundsTheFieldsOfAnOrderedObject) {
  std::string text = "{\"a\":[]";
  for (int i = 1; i < 200'000; ++i) text += ",\"" + std::to_string(i) + "\":0";
  text += "}";
  EXPECT_TRUE(ParseJson(text).ok());
  EXPECT_THAT(ParseJson<ordered_json>(text).status().message(),
              HasSubstr("an object of more than 4096 fields"));
  std::string list = "[{\"a\":1}";
  for (int i = 1; i < 5000; ++i) list += ",{\"a\":{\"b\":\":::\"}}";
  EXPECT_TRUE(ParseJson<ordered_json>(list + "]").ok());
}

TEST(JsonField, IsReadByItsType) {
  const json object = *ParseJson(R"({"t": "x", "w": 7, "n": -1.5, "f": true, "big": 1e300})");
  EXPECT_EQ(*JsonText(object, "t"), "x");
  EXPECT_EQ(*JsonWhole(object, "w"), 7U);
  EXPECT_EQ(*JsonNumber(object, "n"), -1.5);
  EXPECT_EQ(*JsonNumber(object, "w"), 7.0);
  EXPECT_TRUE(*JsonFlag(object, "f"));
  EXPECT_THAT(JsonWhole(object, "n").status().message(), HasSubstr("\"n\" is missing or is not"));
  EXPECT_FALSE(JsonWhole(object, "big").ok());
  EXPECT_FALSE(JsonText(object, "w").ok());
  EXPECT_FALSE(JsonFlag(object, "missing").ok());
  EXPECT_EQ(JsonField(json::array(), "t"), nullptr);
  EXPECT_FALSE(JsonText(json("text"), "t").ok());
}

TEST(DumpJson, IsValidAndPrintableWhateverItHolds) {
  const ordered_json name = "a\x1b[31m\xe9\u009b\u202e\U000E0041\x7f\u00e9";
  EXPECT_EQ(DumpJson(name), "\"a\\u001b[31m\uFFFD\\u009b\\u202e\\udb40\\udc41\\u007f\u00e9\"");
  const ordered_json whole = {{"k\u202e", "v\u009b"}, {"list", {1, 2.5, nullptr}}};
  EXPECT_EQ(*ParseJson<ordered_json>(DumpJson(whole)), whole);
  EXPECT_EQ(DumpJson(ordered_json{{"a", 1}}, 2), "{\n  \"a\": 1\n}");
}

TEST(ReadJson, NamesTheFile) {
  const TempFolder folder;
  const std::string path = folder.Write("x.json", "{");
  EXPECT_THAT(ReadJson(path).status().message(), HasSubstr(path + ": not JSON: line 1"));
  EXPECT_EQ(ReadJson(folder / "missing").status().code(), Code::kIo);
  EXPECT_EQ(ReadJson(folder.Write("big.json", "[1,2]"), {.max_bytes = 4}).status().code(),
            Code::kBadData);
}

}  // namespace
}  // namespace golf::test
