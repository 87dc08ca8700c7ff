// Text to shards and back: what EncodeDataset writes is what CheckShards accepts, and damage is found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "artifact/byte_table.h"
#include "artifact/token_shard.h"
#include "tests/support/temp_folder.h"
#include "tools/data_check.h"
#include "tools/data_encode.h"
#include "tools/data_folder.h"

namespace golf {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr OutputFlags kSilent = {.quiet = true};

// Sentences of made-up words, enough of them for a few hundred merges; every tenth with what tokenizers stumble over.
std::string MadeUpText(size_t documents) {
  const char* const words[] = {"the", "shore", "of",       "seven", "lakes", "under",
                               "a",   "quiet", "northern", "sky",   "walked"};
  const char* const odd[] = {"Zürich", "😀",   "a\tb", "12345",    "naïve ﬁ",
                             "\x01",   "<s>", "漢字", "e\xCC\x81"};
  std::string text;
  uint32_t state = 1;
  const auto next = [&] { return (state = state * 1664525 + 1013904223) >> 16; };
  for (size_t d = 0; d < documents; ++d) {
    text += "document " + std::to_string(d);
    for (size_t w = 0; w < 40; ++w) text += std::string(" ") + words[next() % std::size(words)];
    if (d % 10 == 0) text += std::string(" ") + odd[d / 10 % std::size(odd)];
    text += "\n";
  }
  return text;
}

class Dataset : public testing::Test {
 protected:
  EncodeSettings Settings(const std::string& text, const std::string& normalization = "nmt_nfkc") {
    EncodeSettings settings;
    settings.source.files = {folder_.Write("text.txt", text)};
    settings.split = {.kind = SplitRule::Kind::kEvery, .count = 5};
    settings.train_tokenizer = {.vocab_size = 320, .normalization = normalization};
    settings.output = folder_ / "set";
    return settings;
  }

  nlohmann::ordered_json Encode(const EncodeSettings& settings) {
    const auto facts = EncodeDataset(settings, kSilent);
    EXPECT_TRUE(facts.ok()) << facts.status().message();
    return facts.ok() ? *facts : nlohmann::ordered_json();
  }

  CheckReport Check(CheckSettings settings = {}) {
    settings.shards = {folder_ / "set"};
    const auto report = CheckShards(settings, kSilent);
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report.ok() ? *report : CheckReport();
  }

  // Replaces one token of a shard, keeping the file's form.
  void Overwrite(const std::string& shard, size_t position, uint16_t token) {
    std::vector<uint16_t> tokens;
    {
      const auto opened = TokenShard::Open(shard);
      tokens.assign(opened->tokens().begin(), opened->tokens().end());
    }
    tokens[position] = token;
    ASSERT_TRUE(WriteTokenShard(shard, tokens).ok());
  }

  std::string TrainShard() const { return folder_ / "set/golf_train_000000.bin"; }
  std::string ValidationShard() const { return folder_ / "set/golf_val_000000.bin"; }

  test::TempFolder folder_;
};

TEST_F(Dataset, PassesItsOwnCheck) {
  const auto settings = Settings(MadeUpText(200));
  const auto facts = Encode(settings);
  EXPECT_EQ(facts["train"]["documents"], 160);
  EXPECT_EQ(facts["val"]["documents"], 40);
  const auto report = Check({.documents = settings.source});
  EXPECT_THAT(report.problems, IsEmpty());
  for (const char* split : {"train", "val"}) {
    EXPECT_EQ(report.facts[split]["tokens"], facts[split]["tokens"]);
    EXPECT_EQ(report.facts[split]["bytes"], facts[split]["counted_bytes"]);
    EXPECT_EQ(report.facts[split]["decoded_bytes"], facts[split]["counted_bytes"]);
  }
  EXPECT_EQ(report.facts["documents_compared"], 200);
}

TEST_F(Dataset, GivesEveryByteBackWithoutNormalization) {
  const auto settings = Settings(MadeUpText(200), "identity");
  const auto facts = Encode(settings);
  EXPECT_EQ(facts["train"]["text_bytes"], facts["train"]["counted_bytes"]);
  const auto report = Check({.documents = settings.source, .exact_text = true});
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.facts["documents_decoding_to_their_exact_text"], 200);
}

TEST_F(Dataset, SaysWhichTextNormalizationChanged) {
  const auto settings = Settings(MadeUpText(200));
  Encode(settings);
  const auto report = Check({.documents = settings.source, .exact_text = true});
  ASSERT_EQ(report.problems.size(), 1);
  EXPECT_THAT(report.problems[0], HasSubstr("do not decode to their exact text"));
}

TEST_F(Dataset, IsTheSameEachTime) {
  auto settings = Settings(MadeUpText(150));
  const auto first = Encode(settings);
  settings.output = folder_ / "again";
  EXPECT_EQ(Encode(settings), first);
}

TEST_F(Dataset, BeginsEachDocumentWithBos) {
  Encode(Settings(MadeUpText(50)));
  const auto tokenizer = Tokenizer::Load(folder_ / "set/tokenizer.model");
  ASSERT_TRUE(tokenizer.ok());
  const auto shard = TokenShard::Open(TrainShard());
  ASSERT_TRUE(shard.ok());
  const auto tokens = shard->tokens();
  EXPECT_EQ(tokens[0], 1);
  const auto second = std::find(tokens.begin() + 1, tokens.end(), uint16_t{1});
  const std::vector<uint16_t> first(tokens.begin() + 1, second);
  EXPECT_THAT(tokenizer->Decode(first), testing::StartsWith("document 0 "));
}

TEST_F(Dataset, FillsShardsAndLeavesNoneWithoutBos) {
  auto settings = Settings(MadeUpText(100));
  settings.shard_tokens = 333;
  const auto facts = Encode(settings);
  const auto& shards = facts["train"]["shards"];
  ASSERT_GT(shards.size(), 3);
  for (size_t i = 0; i + 1 < shards.size(); ++i) EXPECT_EQ(shards[i]["tokens"], 333) << i;
  EXPECT_EQ(shards[2]["file"], "golf_train_000002.bin");
  EXPECT_THAT(Check({.documents = settings.source}).problems, IsEmpty());
}

TEST_F(Dataset, RefusesADocumentThatFillsAShard) {
  auto settings = Settings(MadeUpText(20));
  settings.shard_tokens = 20;
  EXPECT_EQ(EncodeDataset(settings, kSilent).status().code(), Code::kUsage);
  EXPECT_FALSE(std::filesystem::exists(settings.output));
  EXPECT_FALSE(std::filesystem::exists(settings.output + ".partial"));
}

TEST_F(Dataset, LeavesCopiesOfValidationDocumentsOutOfTraining) {
  auto settings =
      Settings(MadeUpText(100) + MadeUpText(3));  // the last three are copies of the first three
  settings.split = {.kind = SplitRule::Kind::kFirst, .count = 2};
  const auto facts = Encode(settings);
  EXPECT_EQ(facts["left_out_as_copies_of_validation"], 2);
  EXPECT_EQ(facts["train"]["documents"], 99);
  const auto report = Check({.documents = settings.source});
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.facts["documents_left_out_as_copies"], 2);
}

TEST_F(Dataset, LeavesOutWhatTheModelSeesAsAValidationDocument) {
  const std::string text = MadeUpText(100);
  const std::string first = text.substr(0, text.find('\n'));
  std::string spaces = first, letters = first;  // near copies: white space; compatibility letters
  spaces.replace(spaces.find(' '), 1, " \t ");
  letters.replace(0, 1, "\xEF\xBD\x84");  // a wide d
  auto settings = Settings(text + spaces + "\n" + letters + "\n");
  settings.split = {.kind = SplitRule::Kind::kFirst, .count = 2};
  const auto facts = Encode(settings);
  EXPECT_EQ(facts["left_out_as_copies_of_validation"], 2);
  const auto report = Check({.documents = settings.source});
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.facts["documents_left_out_as_copies"], 2);

  // Without normalisation they are other texts, to the model too.
  settings.train_tokenizer->normalization = "identity";
  settings.output = folder_ / "identity";
  EXPECT_EQ(Encode(settings)["left_out_as_copies_of_validation"], 0);
}

TEST_F(Dataset, NeedsATrainingDocumentThatIsNoCopy) {
  auto settings = Settings("one text\none  text\n");
  settings.split = {.kind = SplitRule::Kind::kFirst, .count = 1};
  const auto facts = EncodeDataset(settings, kSilent);
  EXPECT_EQ(facts.status().code(), Code::kUsage);
  EXPECT_THAT(facts.status().message(), HasSubstr("all 1 training documents are copies"));
}

TEST_F(Dataset, TrainsOnWordsOfAnyLength) {
  std::string lines = MadeUpText(100);
  uint32_t state = 1;
  const auto letters = [&](size_t count) {
    std::string word;
    while (word.size() < count)
      word += "abcdefghijklmnop"[(state = state * 1664525 + 1013904223) >> 28];
    return word;
  };
  for (const char* normalization : {"nmt_nfkc", "identity"}) {
    auto settings = Settings(lines + letters(70'000) + " end\n", normalization);
    settings.output = folder_ / normalization;
    const auto facts = Encode(settings);
    EXPECT_EQ(facts["train"]["documents"].get<int>() + facts["val"]["documents"].get<int>(), 101);
    EXPECT_GT(facts["train"]["counted_bytes"], 70'000) << "encoded whole";
  }
  // Letters of which NFKC makes six each.
  std::string wide;
  while (wide.size() < 3 * 12'000) wide += "\xE3\x8C\x96";
  auto settings = Settings(lines + wide + "\n");
  settings.output = folder_ / "wide";
  Encode(settings);
}

TEST_F(Dataset, CutsWordsThatAreTooLongForTraining) {
  const auto train = [&](const std::string& name, const std::vector<std::string>& texts) {
    size_t i = 0;
    const auto model = TrainTokenizer({.vocab_size = 320}, [&](std::string& text) -> Result<bool> {
      if (i == texts.size()) return false;
      text = texts[i++];
      return true;
    });
    EXPECT_TRUE(model.ok()) << name << model.status().message();
    return model.ok() ? *model : "";
  };
  std::string longest;
  while (longest.size() < 32768) longest += "abcabdabe";
  longest.resize(32768);
  const std::string text = MadeUpText(20);
  EXPECT_EQ(train("one word in two", {text + longest + "xyz"}),
            train("two words", {text + longest, "xyz"}));
}

TEST_F(Dataset, SplitsByTheHashOfTheText) {
  auto settings = Settings(MadeUpText(400));
  settings.split = {.train_fraction = 0.8};
  const auto facts = Encode(settings);
  const int validation = facts["val"]["documents"];
  EXPECT_NEAR(validation, 80, 30);
  std::istringstream all(test::ReadAll(folder_ / "set/golf_val.docs"));
  std::set<std::string> before;
  for (std::string line; std::getline(all, line);) before.insert(line);

  settings.source.files = {
      folder_.Write("half.txt", MadeUpText(200))};  // the same documents, fewer of them
  settings.output = folder_ / "half";
  Encode(settings);
  std::istringstream half(test::ReadAll(folder_ / "half/golf_val.docs"));
  for (std::string line; std::getline(half, line);) EXPECT_TRUE(before.contains(line)) << line;
}

TEST_F(Dataset, DoesNotMixWithFilesThatAreThere) {
  auto settings = Settings(MadeUpText(20));
  settings.output = folder_.path().string();
  const auto facts = EncodeDataset(settings, kSilent);
  EXPECT_EQ(facts.status().code(), Code::kUsage);
  EXPECT_THAT(facts.status().message(), HasSubstr("is not empty"));
}

TEST_F(Dataset, LeavesForeignFoldersAlone) {
  auto settings = Settings(MadeUpText(20));
  std::filesystem::create_directory(folder_ / "set.partial");
  const std::string precious = folder_.Write("set.partial/precious", "x");
  const auto facts = EncodeDataset(settings, kSilent);
  EXPECT_EQ(facts.status().code(), Code::kUsage);
  EXPECT_THAT(facts.status().message(), HasSubstr("set.partial is in the way"));
  EXPECT_EQ(test::ReadAll(precious), "x");
}

TEST_F(Dataset, ReplacesTheRemainsOfARunThatWasKilled) {
  auto settings = Settings(MadeUpText(20));
  std::filesystem::create_directory(folder_ / "set.partial");
  folder_.Write("set.partial/.golf-data", "");
  folder_.Write("set.partial/golf_train_000007.bin", "x");
  Encode(settings);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "set/golf_train_000007.bin"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "set/.golf-data"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "set.partial"));
}

TEST_F(Dataset, IsMadeByOneProcessAtATime) {
  const auto first = NewFolder::Create(folder_ / "set");
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_EQ(EncodeDataset(Settings(MadeUpText(20)), kSilent).status().code(), Code::kBusy);
  EXPECT_TRUE(std::filesystem::exists(first->partial()));
}

TEST_F(Dataset, GoesWhereALinkLeads) {
  auto settings = Settings(MadeUpText(20));
  std::filesystem::create_directory(folder_ / "disk");
  std::filesystem::create_symlink("disk", folder_ / "set");
  Encode(settings);
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "set"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "disk/dataset.json"));
  settings.output = folder_ / "nowhere";
  std::filesystem::create_symlink("missing/disk", settings.output);
  EXPECT_EQ(EncodeDataset(settings, kSilent).status().code(), Code::kUsage);
}

TEST_F(Dataset, MayHaveTheLongestName) {
  auto settings = Settings(MadeUpText(20));
  settings.output = folder_ / std::string(255, 'n');
  Encode(settings);
  EXPECT_TRUE(std::filesystem::exists(settings.output + "/dataset.json"));
}

TEST_F(Dataset, StaysInItsFolder) {
  auto settings = Settings(MadeUpText(20));
  const std::vector<std::string> wrong = {"../x", "/tmp/x",  "a/b",  "",
                                          "a\nb", "\x1b[2J", "\xff", std::string(201, 'x')};
  for (const std::string& prefix : wrong) {
    settings.prefix = prefix;
    const auto facts = EncodeDataset(settings, kSilent);
    EXPECT_EQ(facts.status().code(), Code::kUsage) << prefix;
    EXPECT_THAT(facts.status().message(), HasSubstr("--prefix")) << prefix;
  }
  settings.prefix = "..";
  Encode(settings);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "set/.._train_000000.bin"));
}

TEST_F(Dataset, TellsTheSplitsApartWhateverThePrefix) {
  auto settings = Settings(MadeUpText(20));
  settings.prefix = "my_train_of";
  Encode(settings);
  const auto report = Check({.documents = settings.source});
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.facts["val"]["documents"], 4);
}

TEST_F(Dataset, NeedsDocumentsOnBothSides) {
  auto settings = Settings("only one document\n");
  EXPECT_EQ(EncodeDataset(settings, kSilent).status().code(), Code::kUsage);
  settings = Settings("\n \n");
  EXPECT_EQ(EncodeDataset(settings, kSilent).status().code(), Code::kBadData);
}

TEST_F(Dataset, RefusesAFileThatIsNoTokenizer) {
  auto settings = Settings(MadeUpText(20));
  settings.train_tokenizer.reset();
  settings.tokenizer_path = settings.source.files[0];
  const auto facts = EncodeDataset(settings, kSilent);
  EXPECT_EQ(facts.status().code(), Code::kBadData);
  EXPECT_THAT(facts.status().message(), testing::StartsWith(settings.tokenizer_path + ": "));
}

TEST_F(Dataset, CheckFindsAChangedToken) {
  const auto settings = Settings(MadeUpText(50));
  Encode(settings);
  const auto before = TokenShard::Open(TrainShard())->tokens()[7];
  Overwrite(TrainShard(), 7, before == 300 ? 301 : 300);
  const auto report = Check({.documents = settings.source});
  ASSERT_FALSE(report.problems.empty());
  EXPECT_THAT(report.problems, testing::Contains(HasSubstr("SHA-256")));
  EXPECT_THAT(report.problems, testing::Contains(HasSubstr("is not in the shards")));
}

TEST_F(Dataset, CheckFindsAnIdBeyondTheVocabulary) {
  Encode(Settings(MadeUpText(50)));
  Overwrite(TrainShard(), 7, 320);
  EXPECT_THAT(Check().problems,
              testing::Contains(HasSubstr("has token 320, the tokenizer 320 pieces")));
}

TEST_F(Dataset, CheckFindsAShardWithoutBos) {
  Encode(Settings(MadeUpText(50)));
  ASSERT_TRUE(
      WriteTokenShard(folder_ / "set/golf_train_000001.bin", std::vector<uint16_t>(9, 300)).ok());
  EXPECT_THAT(Check().problems, testing::Contains(HasSubstr("golf_train_000001.bin: has no BOS")));
}

TEST_F(Dataset, CheckFindsATruncatedShard) {
  Encode(Settings(MadeUpText(50)));
  std::filesystem::resize_file(TrainShard(), std::filesystem::file_size(TrainShard()) - 2);
  EXPECT_THAT(Check().problems, testing::Contains(HasSubstr("golf_train_000000.bin: ")));
}

TEST_F(Dataset, CheckFindsAValidationDocumentInTraining) {
  Encode(Settings(MadeUpText(50)));
  std::filesystem::copy_file(ValidationShard(), folder_ / "set/golf_train_000001.bin");
  EXPECT_THAT(Check().problems,
              testing::Contains(HasSubstr("10 training documents are also in the validation split: "
                                          "document 41 of training is 1 of validation "
                                          "(\"document 4 ")));
}

TEST_F(Dataset, CheckFindsTheWrongTokenizer) {
  Encode(Settings(MadeUpText(50)));
  auto other = Settings(MadeUpText(90));
  other.train_tokenizer->vocab_size = 300;
  const std::string model = folder_ / "other.model";
  ASSERT_TRUE(TrainTokenizerFile(other, model, kSilent).ok());
  EXPECT_THAT(Check({.tokenizer_path = model}).problems,
              testing::Contains(HasSubstr("made with another tokenizer")));
}

}  // namespace
}  // namespace golf
