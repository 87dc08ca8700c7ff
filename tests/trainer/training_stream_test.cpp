#include "trainer/training_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

namespace golf {
namespace {

std::string WriteShard(const std::string& name, uint16_t first, size_t count) {
  std::vector<uint16_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  std::string path = testing::TempDir() + "training_stream_" + name + ".bin";
  EXPECT_TRUE(WriteTokenShard(path, tokens).ok());
  return path;
}

TEST(TrainingStream, RunsOverShardsAndAroundTheEnd) {
  const std::vector<std::string> paths = {WriteShard("a", 0, 5), WriteShard("empty", 0, 0),
                                          WriteShard("b", 5, 2)};
  const Result<TrainingStream> stream = TrainingStream::Open(paths, 1024);
  ASSERT_TRUE(stream.ok()) << stream.status().message();
  EXPECT_EQ(stream->tokens(), 7U);
  std::vector<int32_t> ids(9), targets(9);
  ASSERT_TRUE(stream->ReadSpan(4 + 7 * 1000, ids, targets).ok());
  EXPECT_THAT(ids, testing::ElementsAre(4, 5, 6, 0, 1, 2, 3, 4, 5));
  EXPECT_THAT(targets, testing::ElementsAre(5, 6, 0, 1, 2, 3, 4, 5, 6));
}

TEST(TrainingStream, NamesShardAndPositionOfAForeignToken) {
  const std::vector<std::string> paths = {WriteShard("fine", 0, 10), WriteShard("foreign", 95, 10)};
  const Result<TrainingStream> stream = TrainingStream::Open(paths, 100);
  ASSERT_TRUE(stream.ok());
  std::vector<int32_t> ids(14), targets(14);
  EXPECT_TRUE(stream->ReadSpan(0, ids, targets).ok());
  const Status status = stream->ReadSpan(2, ids, targets);
  EXPECT_EQ(status.code(), Code::kBadData);
  EXPECT_THAT(status.message(),
              testing::AllOf(testing::HasSubstr(paths[1]), testing::HasSubstr("token 5")));
}

TEST(TrainingStream, NamesOrSkipsADamagedShard) {
  const std::string good = WriteShard("good", 0, 10),
                    bad = testing::TempDir() + "training_stream_bad.bin";
  std::ofstream(bad) << "not a shard";
  const std::vector<std::string> paths = {good, bad, testing::TempDir() + "missing.bin"};
  const Result<TrainingStream> strict = TrainingStream::Open(paths, 1024);
  ASSERT_FALSE(strict.ok());
  EXPECT_THAT(strict.status().message(), testing::HasSubstr(bad));
  const Result<TrainingStream> lenient = TrainingStream::Open(paths, 1024, true);
  ASSERT_TRUE(lenient.ok());
  EXPECT_EQ(lenient->tokens(), 10U);
  ASSERT_EQ(lenient->skipped().size(), 2U);
  EXPECT_THAT(lenient->skipped()[0].message(), testing::HasSubstr(bad));
  EXPECT_FALSE(TrainingStream::Open(std::vector<std::string>{bad}, 1024, true).ok());
}

}  // namespace
}  // namespace golf
