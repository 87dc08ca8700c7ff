// Files that grow by records.
#include <gtest/gtest.h>

#include "artifact/file.h"
#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

std::string AfterCut(const TempFolder& folder, const std::string& content) {
  const std::string path = folder.Write("log", content);
  Result<GrowingFile> file = GrowingFile::Open(path);
  EXPECT_TRUE(file.ok() && file->CutUnfinishedLine().ok());
  return ReadAll(path);
}

TEST(GrowingFile, LosesOnlyTheLineThatWasCutShort) {
  const TempFolder folder;
  EXPECT_EQ(AfterCut(folder, ""), "");
  EXPECT_EQ(AfterCut(folder, "one\n"), "one\n");
  EXPECT_EQ(AfterCut(folder, "one\ntw"), "one\n");
  EXPECT_EQ(AfterCut(folder, "on"), "");
  EXPECT_EQ(AfterCut(folder, "one\n\n"), "one\n\n");
}

TEST(GrowingFile, GoesOnWhereItEnded) {
  const TempFolder folder;
  for (const char* record : {"one\n", "two\n"}) {
    Result<GrowingFile> file = GrowingFile::Open(folder / "log");
    ASSERT_TRUE(file.ok());
    EXPECT_TRUE(file->CutUnfinishedLine().ok());
    EXPECT_TRUE(file->Append(AsBytes(record)).ok());
  }
  EXPECT_EQ(ReadAll(folder / "log"), "one\ntwo\n");
}

TEST(GrowingFile, NamesWhatCannotBeOpenedAndWhy) {
  const TempFolder folder;
  const Status status = GrowingFile::Open(folder / "missing/log").status();
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find("missing/log: cannot open: No such file"), std::string::npos);
}

}  // namespace
}  // namespace golf::test
