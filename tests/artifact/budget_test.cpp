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
  EXPECT_EQ(MeasureCode({folder / "none"}).status().code(), Code::kIo);
}

}  // namespace
}  // namespace golf::test
