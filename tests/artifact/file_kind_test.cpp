#include "artifact/file_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "artifact/file.h"

namespace golf::test {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;

FileKind Kind(const std::string& text) { return KindOf(AsBytes(text)); }

TEST(FileKind, IsToldByTheFirstBytes) {
  const std::pair<std::string, FileKind> files[] = {
      {"", FileKind::kEmpty},
      {"GOLF\1\0\0\0"s, FileKind::kArtifact},
      {"GOLFCKPT\1\0\0\0"s, FileKind::kCheckpoint},
      {"\x88\xd8\x34\x01\1\0\0\0"s, FileKind::kTokenShard},
      {"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\2"s, FileKind::kTokenizer},
      {"\x10\0\0\0\0\0\0\0{\"a\":{}}"s, FileKind::kSafetensors},
      {"PK\3\4\0\0\0\0archive/data.pkl\x80\2"s, FileKind::kTorchZip},
      {"PK\3\4\0\0\0\0arr_0.npy\x93NUMPY"s, FileKind::kNumpyZip},
      {"PK\3\4\0\0\0\0readme.txt"s, FileKind::kZip},
      {"\x80\2\x8a\nl\xfc\x9c"s, FileKind::kPickle},
      {"GGUF\3\0\0\0"s, FileKind::kGguf},
      {"\x93NUMPY\1\0v\0{"s, FileKind::kNumpy},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n",
       FileKind::kGitLfsPointer},
      {"\x1f\x8b\x08\0"s, FileKind::kGzip},
      {"\x28\xb5\x2f\xfd\x04"s, FileKind::kZstd},
      {"\xfd\x37zXZ\0\0"s, FileKind::kXz},
      {"BZh91AY&SY\x01"s, FileKind::kBzip2},
      {"PAR1\x15\0"s, FileKind::kParquet},
      {"\n<!DOCTYPE HTML><html>", FileKind::kHtml},
      {R"({"metadata":{"total_size":5},"weight_map":{"a":"model-1.safetensors"}})",
       FileKind::kSafetensorsIndex},
      {R"({"text":"a document"})", FileKind::kJson},
      {"name = \"nano\"\n", FileKind::kText},
      {"GOLF is a game.\n", FileKind::kText},
      {"\1\2\3", FileKind::kUnknown},
  };
  for (const auto& [text, kind] : files) EXPECT_EQ(Kind(text), kind) << text;
}

TEST(FileKind, PartsOfASignatureAreUnknownOrText) {
  for (const std::string text : {"G", "GOLF", "PK", "\x88\xd8", "\n\x0e\n", "\x80", "\x10\0\0\0"})
    (void)Kind(text);  // reads nothing beyond the end
  EXPECT_EQ(Kind("GOLF"), FileKind::kText);
  EXPECT_EQ(Kind("\x88\xd8\1"), FileKind::kUnknown);
}

TEST(FileKind, MessagesNameTheKindAndSayWhatToDo) {
  const auto message = [](const std::string& text) {
    return NotA("an artifact", AsBytes(text)).message();
  };
  EXPECT_THAT(message("GOLFCKPT\1\0"s), HasSubstr("not an artifact but a checkpoint of golf-train; "
                                                  "golf-pack makes an artifact of it"));
  EXPECT_THAT(message("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("git lfs pull"));
  EXPECT_THAT(message("PK\3\4\0\0\0\0archive/data.pkl"s), HasSubstr("safetensors.torch.save_file"));
  EXPECT_EQ(message("\1\2"), "not an artifact");
}

}  // namespace
}  // namespace golf::test
