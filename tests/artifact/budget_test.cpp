#include "artifact/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

TEST(Budget, FitsExactlyAtTheCapAndNotOneByteOver) {
  Budget budget{15'923'571, {{"train.py", 76'429}}, 16'000'000};
  EXPECT_TRUE(budget.Check().ok());
  ++budget.artifact_bytes;
  const Status status = budget.Check();
  EXPECT_EQ(status.code(), Code::kOverBudget);
  EXPECT_THAT(status.message(),
              testing::HasSubstr("15923572 + code 76429 = 16000001 bytes, 1 over"));
}

TEST(Budget, CountsEveryCodeFile) {
  const TempFolder folder;
  const auto code = MeasureCode(
      {folder.Write("a", "12345"), folder.Write("b", ""), folder.Write("c", "\xc3\xbc")});
  ASSERT_TRUE(code.ok());
  EXPECT_EQ((Budget{0, *code, 0}).code_bytes(), 7U);
  EXPECT_EQ((*code)[1].sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(MeasureCode({folder / "none"}).status().code(), Code::kIo);
}

// The file system states a size of 0 for it.
TEST(Budget, CountsTheBytesThatAreRead) {
  const auto code = MeasureCode({"/proc/version"});
  ASSERT_TRUE(code.ok()) << code.status().message();
  EXPECT_EQ(code->front().bytes, ReadAll("/proc/version").size());
  EXPECT_GT(code->front().bytes, 0U);
}

}  // namespace
}  // namespace golf::test
