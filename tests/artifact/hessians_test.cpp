#include "artifact/hessians.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "artifact/checkpoint.h"
#include "artifact/hessians_layout.h"
#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

HessianSet Sample() {
  const auto shared =
      std::make_shared<const std::vector<float>>(std::vector<float>{2, 1, 0, 1, 3, -1, 0, -1, 4});
  const auto own = std::make_shared<const std::vector<float>>(std::vector<float>{5});
  HessianSet set;
  set.by_weight = {{"q", shared}, {"k", shared}, {"o", own}};
  set.tokens = 99;
  set.seconds = 1.5;
  set.source = "train.bin";
  set.program = {1, 2, 3};
  return set;
}

TEST(Hessians, ComeBackFromAFileAndAreStillShared) {
  const TempFolder folder;
  const std::string path = folder / "h.ckpt";
  ASSERT_TRUE(WriteHessians(path, Sample()).ok());
  const auto read = ReadHessians(path);
  ASSERT_TRUE(read.ok()) << read.status().message();
  const HessianSet want = Sample();
  ASSERT_EQ(read->by_weight.size(), 3U);
  for (const auto& [weight, matrix] : want.by_weight)
    EXPECT_EQ(*read->by_weight.at(weight), *matrix) << weight;
  EXPECT_EQ(read->by_weight.at("q"), read->by_weight.at("k"));
  EXPECT_EQ(read->tokens, 99U);
  EXPECT_EQ(read->seconds, 1.5);
  EXPECT_EQ(read->source, "train.bin");
  EXPECT_EQ(read->program, want.program);
  EXPECT_TRUE(read->Find("nobody").empty());
}

TEST(Hessians, AreRefusedWhereTheyAreNone) {
  const TempFolder folder;
  const std::string path = folder / "h.ckpt";
  std::vector<float> triangle = {2, 1, 0, 3, -1, 4};
  std::vector<uint32_t> shape = {6};
  CheckpointContents contents;
  const auto verdict = [&] {
    contents.groups = {{std::string(kHessianGroup), {{"q", shape, triangle}}}};
    EXPECT_TRUE(WriteCheckpoint(path, contents).ok());
    return ReadHessians(path).status();
  };
  contents.integers[std::string(kHessianOf) + "q"] = 0;
  EXPECT_TRUE(verdict().ok());
  contents.integers[std::string(kHessianOf) + "k"] = 1;
  EXPECT_EQ(verdict().code(), Code::kBadData) << "an index of none";
  contents.integers.erase(std::string(kHessianOf) + "k");
  contents.reals[std::string(kHessianSeconds)] = -1;
  EXPECT_EQ(verdict().code(), Code::kBadData) << "a time that nothing takes";
  contents.reals.clear();
  triangle[3] = -3;
  EXPECT_EQ(verdict().code(), Code::kBadData) << "a negative diagonal";
  triangle.resize(5);
  shape = {5};
  EXPECT_EQ(verdict().code(), Code::kBadData) << "no triangle";
  triangle = {2, 1, 0, 3, -1, 4};
  shape = {2, 3};
  EXPECT_EQ(verdict().code(), Code::kBadData) << "two dimensions";

  shape = {1};
  triangle = {NAN};  // no checkpoint is written with one; a file may have one nevertheless
  contents.groups = {{std::string(kHessianGroup), {{"q", shape, triangle}}}};
  EXPECT_THAT(HessiansOf(contents).status().message(), testing::HasSubstr("no mean of squares"));

  contents.groups.clear();
  ASSERT_TRUE(WriteCheckpoint(path, contents).ok());
  EXPECT_THAT(ReadHessians(path).status().message(), testing::HasSubstr("no Hessians"));
  EXPECT_EQ(ReadHessians(folder / "nowhere").status().code(), Code::kIo);
}

}  // namespace
}  // namespace golf::test
