// Runs every golden case below a folder: one test golden.<folders of the case, joined by _> per manifest.json.
// The folder is $GOLF_GOLDEN or, without it, the one configured with -DGOLF_GOLDEN (tests/golden/data).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "tests/golden/kinds.h"

namespace {

namespace fs = std::filesystem;

fs::path GoldenRoot() {
  const char* from_environment = std::getenv("GOLF_GOLDEN");
  return from_environment != nullptr && *from_environment != 0 ? from_environment
                                                               : GOLF_GOLDEN_DEFAULT;
}

class GoldenTest : public testing::Test {
 public:
  explicit GoldenTest(fs::path folder) : folder_(std::move(folder)) {}

  void TestBody() override {
    const auto c = golf::test::GoldenCase::Load(folder_);
    // Of a set from outside a part may have been left away; the clone's own is whole.
    if (const std::string file = c.MissingFile(); !file.empty() && std::getenv("GOLF_GOLDEN"))
      GTEST_SKIP() << c.name << ": its file " << file << " is missing";
    const auto handler = golf::test::FindGoldenHandler(c.kind);
    ASSERT_NE(handler, nullptr) << c.name << ": no handler for cases of kind \"" << c.kind
                                << "\" (tests/golden/kinds.cpp)";
    handler(c);
  }

 private:
  fs::path folder_;
};

class NoCasesTest : public testing::Test {
  void TestBody() override { FAIL() << "no manifest.json below " << GoldenRoot(); }
};

std::vector<fs::path> CaseFolders(const fs::path& root) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::recursive_directory_iterator it(root, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename() == "manifest.json") folders.push_back(it->path().parent_path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::string TestName(const fs::path& folder, const fs::path& root) {
  std::string name = fs::relative(folder, root).generic_string();
  if (name == ".")
    name = fs::canonical(folder).filename().generic_string();  // the root is itself a case
  std::replace_if(
      name.begin(), name.end(), [](unsigned char ch) { return !std::isalnum(ch); }, '_');
  return name;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const fs::path root = GoldenRoot();
  const auto folders = CaseFolders(root);
  for (const auto& folder : folders) {
    testing::RegisterTest("golden", TestName(folder, root).c_str(), nullptr, nullptr, __FILE__,
                          __LINE__, [=]() -> testing::Test* { return new GoldenTest(folder); });
  }
  if (folders.empty()) {
    testing::RegisterTest("golden", "cases_are_present", nullptr, nullptr, __FILE__, __LINE__,
                          []() -> testing::Test* { return new NoCasesTest; });
  }
  return RUN_ALL_TESTS();
}
