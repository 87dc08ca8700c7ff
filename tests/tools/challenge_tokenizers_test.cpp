// The published tokenizers and a published shard, where they are at hand: $GOLF_SHARED_DATA or ../shared/data.
#include <gtest/gtest.h>

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
  const auto table = ReadByteTable(model);
  ASSERT_TRUE(tokenizer.ok() && table.ok());
  ASSERT_EQ(table->size(), tokenizer->vocab_size());
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
    EXPECT_EQ(table->Count(previous, tokenizer->bos()), 0);  // the next document's BOS
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ChallengeTokenizers,
                         testing::Values("fineweb_1024_bpe.model", "fineweb_8192_bpe.model"),
                         [](const auto& test) { return std::string(test.param).substr(8, 4); });

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
