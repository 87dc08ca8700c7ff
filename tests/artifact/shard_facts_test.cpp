#include "artifact/shard_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "artifact/artifact.h"
#include "artifact/artifact_write.h"
#include "artifact/checkpoint.h"
#include "artifact/dataset.h"
#include "artifact/sha256.h"
#include "tests/artifact/artifact_parts.h"
#include "tests/artifact/samples.h"
#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(SplitOfName, IsTheLastWordThatNamesOne) {
  const auto train = std::optional(Split::kTrain), val = std::optional(Split::kValidation);
  for (const char* name : {"fineweb_train_000000.bin", "_train_1.bin", "train.bin", "Train-3.bin",
                           "my_val_set_train_000000.bin", "val_000000/x_train_000000.bin",
                           "training.0.bin", "train7.bin"}) {
    EXPECT_EQ(SplitOfName(name), train) << name;
  }
  for (const char* name : {"fineweb_val_000000.bin", "val.bin", "x.valid.bin", "validation2.bin",
                           "train_set_val_000000.bin", "train/a_VAL_0.bin"}) {
    EXPECT_EQ(SplitOfName(name), val) << name;
  }
  for (const char* name : {"shard.bin", "interval.bin", "trained.bin", "a_trainval_0.bin", "",
                           "train/x.bin", "carnival_0.bin"}) {
    EXPECT_EQ(SplitOfName(name), std::nullopt) << name;
  }
}

class SplitFolder : public testing::Test {
 protected:
  SplitFolder() {
    for (const char* name : {"g_train_000000.bin", "g_train_000001.bin", "g_val_000000.bin"})
      folder_.Write(name, "");
    folder_.Write("g_val.docs", "");
  }
  Result<std::vector<std::string>> List(const std::vector<std::string>& arguments, Split split) {
    return ListShards(arguments, split);
  }
  TempFolder folder_;
};

TEST_F(SplitFolder, MeansTheShardsOfTheSplitThatIsAskedFor) {
  const std::string folder = folder_.path().string();
  const std::string train0 = folder_ / "g_train_000000.bin",
                    train1 = folder_ / "g_train_000001.bin", val = folder_ / "g_val_000000.bin";
  EXPECT_THAT(*List({folder}, Split::kTrain), ElementsAre(train0, train1));
  EXPECT_THAT(*List({folder + "/"}, Split::kTrain), ElementsAre(train0 + "", train1));
  EXPECT_THAT(*List({folder}, Split::kValidation), ElementsAre(val));
  fs::create_directory_symlink(folder, folder_ / "link");
  EXPECT_EQ(List({folder_ / "link"}, Split::kValidation)->size(), 1U);
  EXPECT_THAT(*ListShards(folder), ElementsAre(train0, train1, val)) << "without a split: all";
}

TEST_F(SplitFolder, WithAMixtureIsRefused) {
  const std::string folder = folder_.path().string(), extra = folder_.Write("extra.bin", "");
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    const Status status = List({folder}, split).status();
    EXPECT_EQ(status.code(), Code::kUsage);
    EXPECT_THAT(status.message(), AllOf(HasSubstr(extra), HasSubstr("does not tell its split")));
  }
  const Status mixed = List({folder_ / "g_*.bin"}, Split::kValidation).status();
  EXPECT_EQ(mixed.code(), Code::kUsage);
  EXPECT_THAT(mixed.message(), AllOf(HasSubstr("g_train_000000.bin is a training shard"),
                                     HasSubstr("g_val_000000.bin a validation shard")));
  EXPECT_EQ(List({folder, folder_ / "g_train_000000.bin"}, Split::kValidation).status().code(),
            Code::kUsage);
}

TEST_F(SplitFolder, WithoutTheSplitOrWithoutNames) {
  const TempFolder other;
  const std::string only = other.Write("x_train_0.bin", ""), folder = other.path().string();
  const Status none = List({folder}, Split::kValidation).status();
  EXPECT_EQ(none.code(), Code::kIo);
  EXPECT_THAT(none.message(), AllOf(HasSubstr("no validation shard"), HasSubstr(only)));
  EXPECT_THAT(OtherSplit(*List({only}, Split::kValidation), Split::kValidation),
              HasSubstr("x_train_0.bin is a training shard by its name"));
  EXPECT_EQ(OtherSplit(*List({only}, Split::kTrain), Split::kTrain), "");

  const TempFolder plain;
  const std::string a = plain.Write("a.bin", ""), b = plain.Write("b.bin", "");
  EXPECT_THAT(*List({plain.path().string()}, Split::kTrain), ElementsAre(a, b));
  EXPECT_THAT(*List({plain.path().string()}, Split::kValidation), ElementsAre(a, b));
}

class Facts : public testing::Test {
 protected:
  ShardFacts Of(const std::string& name, std::vector<uint16_t> tokens) {
    const std::string path = folder_ / name;
    EXPECT_TRUE(WriteTokenShard(path, tokens).ok());
    return Of(path);
  }
  static ShardFacts Of(const std::string& path) {
    const auto shard = TokenShard::Open(path);
    EXPECT_TRUE(shard.ok()) << shard.status().message();
    return FactsOf({&*shard, 1}).front();
  }
  TempFolder folder_;
};

TEST_F(Facts, AreThoseOfTheFile) {
  const ShardFacts facts = Of("a.bin", {1, 2, 3});
  EXPECT_EQ(facts.path, folder_ / "a.bin");
  EXPECT_EQ(facts.sha256, *Sha256OfFile(facts.path));
  EXPECT_EQ(facts.tokens, 3U);
}

TEST_F(Facts, KnowACopyByAnyName) {
  const ShardFacts a = Of("a.bin", {1, 2, 3}), b = Of("b.bin", {1, 2, 4});
  fs::copy_file(a.path, folder_ / "copy.bin");
  fs::create_hard_link(a.path, folder_ / "hard.bin");
  fs::create_symlink(a.path, folder_ / "soft.bin");
  EXPECT_TRUE(CheckEachOnce(std::vector{a, b}).ok());
  EXPECT_TRUE(CheckApart(std::vector{a}, std::vector{b}, "").ok());
  for (const char* name : {"a.bin", "copy.bin", "hard.bin", "soft.bin"}) {
    const ShardFacts again = Of(folder_ / name);
    const Status twice = CheckEachOnce(std::vector{a, b, again});
    EXPECT_EQ(twice.code(), Code::kBadData) << name;
    EXPECT_THAT(twice.message(), AllOf(HasSubstr(again.path + ": the same text as " + a.path)));
    const Status both = CheckApart(std::vector{b, again}, std::vector{a}, "which is trained on");
    EXPECT_EQ(both.code(), Code::kBadData) << name;
    EXPECT_THAT(both.message(), HasSubstr(again.path + ": the same text as " + a.path));
    EXPECT_THAT(both.message(), HasSubstr("which is trained on"));
  }
  const ShardFacts empty = Of("empty.bin", {});
  EXPECT_TRUE(CheckEachOnce(std::vector{empty, empty}).ok());
}

// Words of the header that nothing reads would make a copy look like another shard.
TEST_F(Facts, ACopyCannotHideBehindItsHeader) {
  const ShardFacts a = Of("a.bin", {1, 2, 3});
  std::string bytes = ReadAll(a.path);
  for (const size_t at : {size_t{12}, size_t{1023}}) {
    std::string changed = bytes;
    changed[at] = 1;
    const auto shard = TokenShard::Open(folder_.Write("changed.bin", changed));
    EXPECT_EQ(shard.status().code(), Code::kBadData);
    EXPECT_THAT(shard.status().message(), HasSubstr("expected zeros"));
  }
}

TEST_F(Facts, TellTheSameTextFromAnotherOrder) {
  const ShardFacts a = Of("a.bin", {1, 2, 3}), b = Of("b.bin", {1, 2, 4}), c = Of("c.bin", {7});
  fs::copy_file(a.path, folder_ / "moved.bin");
  EXPECT_TRUE(CheckSameText(std::vector{a, b}, std::vector{Of(folder_ / "moved.bin"), b}).ok());
  const Status order = CheckSameText(std::vector{a, b}, std::vector{b, a});
  EXPECT_EQ(order.code(), Code::kBadData);
  EXPECT_THAT(order.message(), AllOf(HasSubstr(a.path), HasSubstr(b.path), HasSubstr("shard 1")));
  EXPECT_THAT(CheckSameText(std::vector{a, b}, std::vector{a, c}).message(), HasSubstr("shard 2"));
  EXPECT_THAT(CheckSameText(std::vector{a}, std::vector{a, c}).message(), HasSubstr(c.path));
  EXPECT_THAT(CheckSameText(std::vector{a, c}, std::vector{a}).message(), HasSubstr(c.path));
}

class Dataset : public Facts {
 protected:
  Status Check(const std::string& json, std::optional<NamedTokenizer> expected,
               const char* name = "a.bin") {
    folder_.Write("dataset.json", json);
    return CheckTokenizerOf(std::vector{ShardFacts{folder_ / name, {}, 0}}, std::move(expected));
  }
  static std::string Naming(const std::string& sha256) {
    return R"({"format": 1, "tokenizer": {"file": "tokenizer.model", "sha256": ")" + sha256 +
           R"("}})";
  }
  const std::string ours_ = std::string(32, 'a') + std::string(32, '0'),
                    theirs_ = std::string(64, 'b');
};

TEST_F(Dataset, NamesTheTokenizerOfItsShards) {
  const NamedTokenizer ours{ours_, "model.ptz"};
  EXPECT_TRUE(Check(Naming(ours_), ours).ok());
  EXPECT_TRUE(Check(Naming(std::string(32, 'A') + std::string(32, '0')), ours).ok());
  EXPECT_TRUE(Check(Naming(theirs_), std::nullopt).ok());
  const Status other = Check(Naming(theirs_), ours);
  EXPECT_EQ(other.code(), Code::kBadData);
  EXPECT_THAT(other.message(),
              AllOf(HasSubstr(folder_ / "a.bin"), HasSubstr(theirs_), HasSubstr(ours_),
                    HasSubstr("model.ptz"), HasSubstr(folder_ / "dataset.json")));
  EXPECT_TRUE(Check(R"({"name": "another kind of data set"})", ours).ok());
  EXPECT_TRUE(Check("[]", ours).ok());
  for (const char* damaged :
       {"", "{", R"({"tokenizer": {"sha256": 7}})", R"({"tokenizer": {"sha256": "abc"}})"}) {
    EXPECT_EQ(Check(damaged, ours).code(), Code::kBadData) << damaged;
  }
  fs::remove(folder_ / "dataset.json");
  EXPECT_TRUE(CheckTokenizerOf(std::vector{ShardFacts{folder_ / "a.bin", {}, 0}}, ours).ok());
}

TEST_F(Dataset, WarnsOfBytesThatAreNotExact) {
  const auto warning_of = [&](const std::string& json) {
    folder_.Write("dataset.json", json);
    return WarningOfMiscounts(
        std::vector{ShardFacts{folder_ / "a.bin", {}, 0}, ShardFacts{folder_ / "b.bin", {}, 0}});
  };
  EXPECT_EQ(*warning_of(Naming(ours_)), "");
  EXPECT_EQ(*warning_of(R"({"format": 1, "miscounted_documents": 0})"), "");
  EXPECT_EQ(*warning_of(R"({"format": 1, "miscounted_documents": 12})"),
            folder_ / "dataset.json" +
                ": the tokenizer does not count the bytes of 12 documents exactly, so bits per "
                "byte are approximate");
  EXPECT_EQ(warning_of(R"({"format": 1, "miscounted_documents": -1})").status().code(),
            Code::kBadData);
}

TEST_F(Dataset, OfALinkIsThatOfItsTarget) {
  const TempFolder elsewhere;
  Of("a.bin", {1, 2, 3});
  fs::create_symlink(folder_ / "a.bin", elsewhere / "link.bin");
  folder_.Write("dataset.json", Naming(theirs_));
  const std::vector link = {ShardFacts{elsewhere / "link.bin", {}, 0}};
  EXPECT_EQ(CheckTokenizerOf(link, NamedTokenizer{ours_, "x"}).code(), Code::kBadData);
  const std::vector both = {ShardFacts{folder_ / "a.bin", {}, 0},
                            ShardFacts{elsewhere / "b.bin", {}, 0}};
  elsewhere.Write("dataset.json", Naming(ours_));
  EXPECT_EQ(CheckTokenizerOf(both, std::nullopt).code(), Code::kBadData) << "they differ";
}

// What checkpoint and artifact keep of `shards`: the files' names alone.
std::vector<ShardFacts> WithoutFolders(std::vector<ShardFacts> shards) {
  for (ShardFacts& shard : shards) shard.path = fs::path(shard.path).filename().string();
  return shards;
}

TEST_F(Facts, StayWithCheckpointAndArtifact) {
  const std::vector train = {Of("t0.bin", {1, 2}), Of("t1.bin", {3})}, val = {Of("v.bin", {4, 5})};
  const std::vector<uint8_t> program = {1, 2, 3};
  const std::vector<float> weight = {1, 2};
  const std::vector<uint32_t> shape = {2};
  CheckpointContents contents;
  contents.program = program;
  contents.groups = {{"weights", {{"w", shape, weight}}}};
  contents.training_shards = train;
  contents.validation_shards = val;
  ASSERT_TRUE(WriteCheckpoint(folder_ / "a.ckpt", contents).ok());
  const auto checkpoint = Checkpoint::Open(folder_ / "a.ckpt");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->contents().training_shards, WithoutFolders(train));
  EXPECT_EQ(checkpoint->contents().validation_shards, WithoutFolders(val));

  const auto tensors = Encode(TinyNetwork(), PackEverything());
  const Bytes file = SerialiseArtifact(
      {program, SampleTokenizer(), {"test", "everything", "raw", 7, train, val}, tensors}, 3);
  const auto artifact = Artifact::Parse(file);
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  EXPECT_EQ(artifact->provenance().training_shards, WithoutFolders(train));
  EXPECT_EQ(artifact->provenance().calibration_shards, WithoutFolders(val));

  Parts parts = TakeApart(file);
  auto& shards = parts.root.provenance->training_shards;
  shards[0]->sha256.pop_back();
  EXPECT_THAT(Artifact::Parse(PutTogether(parts)).status().message(), HasSubstr("32 bytes"));
  shards[0]->sha256.push_back(0);
  shards[1]->name = std::string(256, 'n');
  EXPECT_THAT(Artifact::Parse(PutTogether(parts)).status().message(), HasSubstr("255 bytes"));
  shards[1]->name = std::string(255, 'n');
  EXPECT_TRUE(Artifact::Parse(PutTogether(parts)).ok());
}

}  // namespace
}  // namespace golf::test
