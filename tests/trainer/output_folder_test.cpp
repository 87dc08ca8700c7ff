#include "trainer/output_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/trainer/tiny.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

CheckpointContents Contents(const float& value) {
  static const std::vector<uint8_t> program = {1, 2, 3};
  CheckpointContents contents;
  contents.program = program;
  contents.groups.push_back({"weights", {{"w", {}, {&value, 1}}}});
  return contents;
}

class Folder : public testing::Test {
 protected:
  Folder() : path_(test::TestFolder()), folder_(std::move(*OutputFolder::Open(path_))) {}
  std::string Save(uint64_t step, size_t keep = 3) {
    const Result<std::string> saved = folder_.Save(step, Contents(value_), keep);
    EXPECT_TRUE(saved.ok()) << saved.status().message();
    return *saved;
  }
  std::string path_;
  OutputFolder folder_;
  float value_ = 0.5F;
};

TEST_F(Folder, ASecondProcessIsRefused) {
  // flock is per open file description, so a second Open in this process stands for another process.
  const Result<OutputFolder> second = OutputFolder::Open(path_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kBusy);
  EXPECT_THAT(second.status().message(), testing::HasSubstr(path_));
}

TEST_F(Folder, TheLockEndsWithTheObject) {
  const std::string path = path_ + "/inner";
  { const Result<OutputFolder> first = OutputFolder::Open(path); }
  EXPECT_TRUE(OutputFolder::Open(path).ok());
}

TEST_F(Folder, KeepsTheLastK) {
  for (const uint64_t step : {1, 2, 10, 300}) Save(step, 2);
  EXPECT_THAT(*folder_.Checkpoints(),
              testing::ElementsAre(path_ + "/step-00000300.ckpt", path_ + "/step-00000010.ckpt"));
}

TEST_F(Folder, FallsBackFromDamagedCheckpoints) {
  const std::string good = Save(5), torn = Save(6), rotten = Save(7);
  fs::resize_file(torn, fs::file_size(torn) - 1);
  std::fstream file(rotten, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(fs::file_size(rotten)) - 1);
  file.put('\x55');
  file.close();
  std::vector<Status> damaged;
  const auto newest = folder_.NewestCheckpoint(damaged);
  ASSERT_TRUE(newest.ok()) << newest.status().message();
  ASSERT_TRUE(newest->has_value());
  EXPECT_EQ((*newest)->path(), good);
  ASSERT_EQ(damaged.size(), 2U);
  EXPECT_THAT(damaged[0].message(), testing::HasSubstr(rotten));
  EXPECT_THAT(damaged[1].message(), testing::HasSubstr(torn));
  EXPECT_TRUE(fs::exists(rotten + ".damaged"));
  EXPECT_EQ(folder_.Checkpoints()->size(), 1U);
}

TEST_F(Folder, AnEmptyFolderHasNoNewest) {
  std::vector<Status> damaged;
  const auto newest = folder_.NewestCheckpoint(damaged);
  ASSERT_TRUE(newest.ok());
  EXPECT_FALSE(newest->has_value());
}

TEST_F(Folder, WithNothingButDamagedCheckpointsThereIsNoStartFromNothing) {
  const std::string torn = Save(6);
  fs::resize_file(torn, fs::file_size(torn) - 1);
  for (int attempt = 0; attempt < 2; ++attempt) {  // the second one finds it set aside already
    std::vector<Status> damaged;
    const auto newest = folder_.NewestCheckpoint(damaged);
    ASSERT_FALSE(newest.ok());
    EXPECT_EQ(newest.status().code(), Code::kBadData);
    EXPECT_THAT(newest.status().message(), testing::HasSubstr("--fresh"));
  }
  ASSERT_TRUE(folder_.Clear().ok());
  std::vector<Status> damaged;
  EXPECT_TRUE(folder_.NewestCheckpoint(damaged).ok());
}

TEST_F(Folder, NeverHoldsANan) {
  value_ = std::numeric_limits<float>::quiet_NaN();
  const Result<std::string> saved = folder_.Save(1, Contents(value_), 3);
  ASSERT_FALSE(saved.ok());
  EXPECT_EQ(saved.status().code(), Code::kBadNumbers);
  EXPECT_TRUE(folder_.Checkpoints()->empty());
}

TEST_F(Folder, ClearLeavesForeignFilesAlone) {
  Save(1);
  std::ofstream(path_ + "/notes.txt") << "mine";
  std::ofstream(path_ + "/log.jsonl") << "{\"event\":\"start\"}\n";
  ASSERT_TRUE(folder_.Clear().ok());
  EXPECT_TRUE(fs::exists(path_ + "/notes.txt"));
  EXPECT_FALSE(fs::exists(path_ + "/log.jsonl"));
  EXPECT_TRUE(folder_.Checkpoints()->empty());
}

}  // namespace
}  // namespace golf
