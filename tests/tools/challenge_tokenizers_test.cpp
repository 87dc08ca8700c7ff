// The published tokenizers and a published shard, where they are at hand: $GOLF_SHARED_DATA or ../shared/data.
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <cstdlib>
#include <filesystem>

#include "artifact/byte_table.h"
#include "tests/support/temp_folder.h"
#include "tools/data_check.h"
#include "tools/data_encode.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

constexpr OutputFlags kSilent = {.quiet = true};

fs::path DataFolder() {
  const char* from_environment = std::getenv("GOLF_SHARED_DATA");
  return from_environment != nullptr ? fs::path(from_environment)
                                     : fs::path(GOLF_SOURCE_DIR) / "../shared/data";
}

class ChallengeTokenizers : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!fs::exists(DataFolder() / GetParam()))
      GTEST_SKIP() << "no " << GetParam() << " in " << DataFolder();
  }
};

TEST_P(ChallengeTokenizers, CountTheBytesOfTheirDecodedText) {
  const std::string model = DataFolder() / GetParam();
  const auto tokenizer = Tokenizer::Load(model);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const ByteTable* table = &tokenizer->byte_table();
  sentencepiece::SentencePieceProcessor reference;
  ASSERT_TRUE(reference.Load(model).ok());
  for (const std::string text :
       {"a", "a a", "ü", "über Grüße", "😀 and 👩‍👩‍👧", "\x01\x02", "tab\there",
        "two  spaces", "1234", "漢字", "<s> <unk>", "\xC2\xA0", "line\nline",
        "\xCE\xA9\xE2\x84\xA6", "x"}) {
    const auto tokens = tokenizer->Encode(text);
    uint32_t counted = 0;
    uint16_t previous = tokenizer->bos();
    for (const uint16_t token : tokens) {
      counted += table->Count(previous, token);
      previous = token;
    }
    EXPECT_EQ(counted, tokenizer->Decode(tokens).size()) << text;
    EXPECT_EQ(tokenizer->Decode(tokens), reference.DecodeIds({tokens.begin(), tokens.end()}));
    EXPECT_EQ(table->Count(previous, tokenizer->bos()), 0);  // the next document's BOS
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ChallengeTokenizers,
                         testing::Values("fineweb_1024_bpe.model", "fineweb_8192_bpe.model"),
                         [](const auto& test) { return std::string(test.param).substr(8, 4); });

// Tokenizers that others trained, and a text with runs of spaces: the bytes of validation text, or why not.
class OtherTokenizers : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(cases_ / "mixed.jsonl")) GTEST_SKIP() << "no mixed.jsonl in " << cases_;
  }
  Result<nlohmann::ordered_json> Encode(const char* model) {
    EncodeSettings settings;
    settings.source.files = {cases_ / "mixed.jsonl"};
    settings.split = {.kind = SplitRule::Kind::kEvery, .count = 10};
    settings.tokenizer_path = cases_ / model;
    settings.output = folder_ / "set";
    return EncodeDataset(settings, kSilent);
  }
  const fs::path cases_ = DataFolder() / "../cases";
  const test::TempFolder folder_;
};

TEST_F(OtherTokenizers, WithPiecesOfSeveralSpacesCountEachOnce) {
  const auto facts = Encode("whitespace_pieces.model");
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_EQ((*facts)["val"]["counted_bytes"], 11192);
  EXPECT_EQ((*facts)["val"]["text_bytes"], 11192);
}

TEST_F(OtherTokenizers, WithoutAPieceForASpaceAreRefused) {
  const auto facts = Encode("no_space_piece.model");
  EXPECT_EQ(facts.status().code(), Code::kBadData);
  EXPECT_NE(facts.status().message().find("has no piece for a space"), std::string::npos);
}

TEST_F(OtherTokenizers, OfTheUsualKindCountWhatTheySee) {
  const auto facts = Encode("std.model");
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_EQ((*facts)["val"]["counted_bytes"], 9592);
}

TEST(ChallengeShard, IsReproducedBitForBit) {
  const fs::path data = DataFolder();
  if (!fs::exists(data / "wikitext2_valid.txt"))
    GTEST_SKIP() << "no wikitext2_valid.txt in " << data;
  const test::TempFolder folder;
  EncodeSettings settings;
  settings.source = {.files = {(data / "wikitext2_valid.txt").string()},
                     .format = DocumentFormat::kHeadings,
                     .heading = "^ = [^=].* = $"};
  settings.split.kind = SplitRule::Kind::kValidationOnly;
  settings.tokenizer_path = data / "fineweb_1024_bpe.model";
  settings.output = folder / "set";
  const auto facts = EncodeDataset(settings, kSilent);
  ASSERT_TRUE(facts.ok()) << facts.status().message();
  EXPECT_TRUE(test::ReadAll(folder / "set/golf_val_000000.bin") ==
              test::ReadAll(data / "wikitext2_valid_sp1024.bin"));

  const auto report =
      CheckShards({.shards = {folder / "set"}, .documents = settings.source}, kSilent);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->problems.empty());
  EXPECT_EQ(report->facts["documents_compared"], 60);
}

}  // namespace
}  // namespace golf
