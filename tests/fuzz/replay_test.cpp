// Every kept input goes through its target once, in the ordinary build: what was found stays found.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "artifact/file.h"
#include "tests/fuzz/fuzz_targets.h"

namespace golf::test {
namespace {

class FuzzCorpus : public testing::TestWithParam<FuzzTarget> {};

TEST_P(FuzzCorpus, RunsWithoutAFinding) {
  const auto folder = std::filesystem::path(GOLF_SOURCE_DIR "/tests/fuzz/corpus") / GetParam().name;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  ASSERT_FALSE(paths.empty());
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    const auto input = ReadFile(path, 1 << 20);
    ASSERT_TRUE(input.ok()) << input.status().message();
    GetParam().run(*input);
  }
  GetParam().run({});
}

INSTANTIATE_TEST_SUITE_P(All, FuzzCorpus, testing::ValuesIn(kFuzzTargets),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace golf::test
