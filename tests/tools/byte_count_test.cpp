// Bytes per token with tokenizers of other kinds: what is counted is the text, or the text is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include "tests/support/temp_folder.h"
#include "tests/tools/tokenizer_model.h"
#include "tools/data_check.h"
#include "tools/data_encode.h"

namespace golf::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr OutputFlags kSilent = {.quiet = true};

struct Counted {
  std::vector<uint16_t> tokens;
  std::string text;  // decoded
  uint64_t bytes;
  std::string why;  // why these are not its bytes
};

Counted Count(const TokenizerModel& model, const std::string& text) {
  const std::string bytes = model.Bytes();
  const auto tokenizer = Tokenizer::FromModel(bytes, "made by hand");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  if (!tokenizer.ok()) return {};
  Counted counted;
  counted.tokens = tokenizer->Encode(text);
  counted.text = tokenizer->Decode(counted.tokens);
  // What SentencePiece itself decodes, but for the space that the model added and left, and spaces in bytes.
  sentencepiece::SentencePieceProcessor reference;
  EXPECT_TRUE(reference.LoadFromSerializedProto(bytes).ok());
  std::string decoded = reference.DecodeIds({counted.tokens.begin(), counted.tokens.end()});
  if (model.adds_space && model.space_behind && decoded.ends_with(' ')) decoded.pop_back();
  if (model.adds_space && !model.marks_spaces && decoded.starts_with(' ')) decoded.erase(0, 1);
  for (size_t at = 0; (at = decoded.find(kMark)) != decoded.npos;) decoded.replace(at, 3, 1, ' ');
  EXPECT_EQ(counted.text, decoded);
  counted.bytes = tokenizer->CountBytes(counted.tokens);
  counted.why = tokenizer->WhyMiscounted(counted.tokens, counted.text);
  return counted;
}

// The text comes back and each of its bytes is counted once.
void ExpectExact(const TokenizerModel& model, const std::string& text) {
  const Counted counted = Count(model, text);
  EXPECT_EQ(counted.text, text);
  EXPECT_EQ(counted.bytes, text.size()) << text;
  EXPECT_EQ(counted.why, "") << text;
}

TEST(ByteCount, IsExactForSpacesAnywhereInAPiece) {
  const TokenizerModel model = {
      .pieces = {kMark + "the", kMark + kMark, kMark + kMark + kMark + kMark, "a" + kMark,
                 "of" + kMark + "the", kMark + "in" + kMark, "b" + kMark + kMark + "c"}};
  for (const char* text :
       {"the", "a b", "two  spaces", "if x:        y", "of the in the", "b  c", "a in a  in",
        "\xc3\xbc \xf0\x9f\x98\x80  \xe6\xbc\xa2", "a\tb\n    c", "   in front", "behind   "}) {
    ExpectExact(model, text);
  }
  EXPECT_EQ(Count(model, "x        y").tokens.size(), 5U);  // a space in front, x, 4, 4, y
}

TEST(ByteCount, IsExactWithoutAnAddedSpace) {
  const TokenizerModel model = {.pieces = {kMark + "the", kMark + kMark}, .adds_space = false};
  for (const char* text : {"the the", "a  the", "x   y"}) ExpectExact(model, text);
  // The rule takes a space behind BOS for the tokenizer's; this model has none of its own.
  EXPECT_THAT(Count(model, " the").why, HasSubstr("count 3 bytes, its text has 4"));
}

TEST(ByteCount, IsExactForPiecesThatUsersDefine) {
  ExpectExact({.user_defined = {"<end>", kMark + kMark + kMark, "of" + kMark + "the"}},
              "one of the   few<end>");
}

TEST(ByteCount, LooksAtTheTextThatDecodes) {
  const TokenizerModel model = {.pieces = {kMark + "a"}, .removes_spaces = true};
  const Counted counted = Count(model, "  a   b ");
  EXPECT_EQ(counted.text, "a b");
  EXPECT_EQ(counted.bytes, 3U);
  EXPECT_EQ(counted.why, "");
}

TEST(ByteCount, RefusesSpacesThatAreSpelledInBytes) {
  const TokenizerModel model = {.pieces = {kMark + "b"}, .lone_mark = false, .adds_space = false};
  ExpectExact(model, "a b");
  EXPECT_THAT(Count(model, "a c").why, HasSubstr("has no piece for a space"));
  EXPECT_EQ(Count(model, "a c").text, "a c");
}

TEST(ByteCount, RefusesUnknownPieces) {
  const TokenizerModel model = {.byte_pieces = false};
  ExpectExact(model, "a b");
  EXPECT_THAT(Count(model, "a \xc3\xbc b").why, HasSubstr("1 of them unknown pieces"));
}

TEST(ByteCount, RefusesASpaceAddedBehindTheText) {
  const TokenizerModel model = {.pieces = {"a" + kMark}, .space_behind = true};
  EXPECT_EQ(Count(model, "a b").text, "a b");
  EXPECT_THAT(Count(model, "a b").why, HasSubstr("adds a space to each text"));
  TokenizerModel without = model;
  without.adds_space = false;
  ExpectExact(without, "a b a b");
}

TEST(ByteCount, RefusesAnAddedSpaceThatIsNoMark) {
  TokenizerModel model = {.pieces = {" a", " "}, .marks_spaces = false};
  EXPECT_THAT(Count(model, "a b").why, HasSubstr("adds a space to each text"));
  model.adds_space = false;
  ExpectExact(model, "a b");
}

class Miscounted : public testing::Test {
 protected:
  EncodeSettings Settings() {
    EncodeSettings settings;
    settings.source.files = {folder_.Write("text.txt", "ab\ncd\nan odd one\nef\ngh\nij kl\nkl\n")};
    settings.split = {.kind = SplitRule::Kind::kEvery, .count = 3};
    settings.tokenizer_path = folder_.Write("no_space.model", model_.Bytes());
    settings.output = folder_ / "set";
    return settings;
  }
  CheckReport Check() {
    const auto report = CheckShards({.shards = {folder_ / "set"}}, kSilent);
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report.ok() ? *report : CheckReport();
  }
  TokenizerModel model_ = {.lone_mark = false, .adds_space = false};
  TempFolder folder_;
};

TEST_F(Miscounted, IsRefusedByEncodeWhichNamesTheDocument) {
  const auto facts = EncodeDataset(Settings(), kSilent);
  EXPECT_EQ(facts.status().code(), Code::kBadData);
  EXPECT_THAT(facts.status().message(),
              HasSubstr("document 3 (\"an odd one\"): its tokens count 14 bytes, its text has 10"));
  EXPECT_THAT(facts.status().message(), HasSubstr("--approximate-bytes"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "set"));
}

TEST_F(Miscounted, IsRecordedWhereItIsAccepted) {
  EncodeSettings settings = Settings();
  settings.approximate_bytes = true;
  const auto facts = EncodeDataset(settings, kSilent);
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_EQ((*facts)["miscounted_documents"], 2);
  EXPECT_EQ((*facts)["val"]["decoded_bytes"], 15);
  EXPECT_EQ((*facts)["val"]["text_bytes"], 15);
  EXPECT_EQ((*facts)["val"]["counted_bytes"], 21);
  EXPECT_THAT(Check().problems, IsEmpty());  // a warning says it
}

TEST_F(Miscounted, IsAProblemForCheckWhereNothingIsRecorded) {
  EncodeSettings settings = Settings();
  settings.approximate_bytes = true;
  ASSERT_TRUE(EncodeDataset(settings, kSilent).ok());
  std::filesystem::remove(folder_ / "set/dataset.json");
  EXPECT_THAT(Check().problems,
              testing::ElementsAre(HasSubstr("val: the byte table counts 21 bytes, the decoded "
                                             "documents hold 15; 2 of them are miscounted")));
}

}  // namespace
}  // namespace golf::test
