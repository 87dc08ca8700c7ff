#include "artifact/file_kind.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>

#include "artifact/artifact_layout.h"
#include "artifact/checkpoint_layout.h"
#include "artifact/file.h"

namespace golf {
namespace {

using namespace std::string_view_literals;

constexpr size_t kLooked = 64 << 10;

// Files that begin with fixed bytes; the first that fits decides.
struct Signature {
  std::string_view bytes;
  FileKind kind;
};
constexpr Signature kSignatures[] = {
    {"GOLFCKPT", FileKind::kCheckpoint},
    {"GOLF", FileKind::kArtifact},
    {"version https://git-lfs", FileKind::kGitLfsPointer},
    {"\x1f\x8b", FileKind::kGzip},
    {"\x28\xb5\x2f\xfd", FileKind::kZstd},
    {"\xfd\x37zXZ\0"sv, FileKind::kXz},
    {"BZh", FileKind::kBzip2},
    {"GGUF", FileKind::kGguf},
    {"\x93NUMPY", FileKind::kNumpy},
    {"\x89HDF\r\n\x1a\n", FileKind::kHdf5},
    {"PAR1", FileKind::kParquet},
    {"\x80\x02", FileKind::kPickle},
    {"\x80\x03", FileKind::kPickle},
    {"\x80\x04", FileKind::kPickle},
    {"\x80\x05", FileKind::kPickle},
};

// {NAME, ADVICE} of a message; the advice may be empty.
struct Words {
  const char *name, *advice;
};

Words WordsFor(FileKind kind) {
  switch (kind) {
    case FileKind::kEmpty:
      return {"an empty file", ""};
    case FileKind::kArtifact:
      return {"an artifact of golf-pack", "golf-run scores it, golf-inspect shows what is in it"};
    case FileKind::kCheckpoint:
      return {"a checkpoint of golf-train",
              "golf-pack makes an artifact of it, golf-inspect --export a safetensors file"};
    case FileKind::kTokenShard:
      return {"a token shard", "golf-train takes it with --data, golf-run after the artifact"};
    case FileKind::kTokenizer:
      return {"a SentencePiece model", "it belongs to --tokenizer"};
    case FileKind::kSafetensors:
      return {"a safetensors file", "golf-pack makes an artifact of it, with --recipe"};
    case FileKind::kSafetensorsIndex:
      return {"the index of a model in several safetensors files",
              "load them in Python and save all tensors in one, with "
              "safetensors.torch.save_file(tensors, 'model.safetensors')"};
    case FileKind::kTorchZip:
    case FileKind::kPickle:
      return {"a pickle, as torch.save writes",
              "a pickle can run code and is never loaded; in Python, "
              "safetensors.torch.save_file(state_dict, 'model.safetensors')"};
    case FileKind::kGguf:
      return {"a GGUF file of llama.cpp", "golf reads weights from safetensors"};
    case FileKind::kNumpy:
    case FileKind::kNumpyZip:
      return {"a numpy file", "golf reads weights from safetensors; golf-data makes token shards"};
    case FileKind::kHdf5:
      return {"an HDF5 file", "golf reads weights from safetensors"};
    case FileKind::kGitLfsPointer:
      return {"a git-LFS pointer, a few lines in place of the file",
              "'git lfs pull' fetches the file itself"};
    case FileKind::kGzip:
      return {"a gzip file", "unpack it with gunzip"};
    case FileKind::kZstd:
      return {"a zstd file", "unpack it with unzstd"};
    case FileKind::kXz:
      return {"an xz file", "unpack it with unxz"};
    case FileKind::kBzip2:
      return {"a bzip2 file", "unpack it with bunzip2"};
    case FileKind::kZip:
      return {"a zip archive", "unpack it with unzip"};
    case FileKind::kParquet:
      return {"a Parquet file", "convert it to JSON lines"};
    case FileKind::kHtml:
      return {"an HTML page", "the download failed or wants a login"};
    case FileKind::kJson:
      return {"a JSON file", ""};
    case FileKind::kText:
      return {"a text file", ""};
    case FileKind::kUnknown:
      break;
  }
  return {"", ""};
}

bool IsShard(std::string_view head) {
  int32_t magic;
  if (head.size() < sizeof(magic)) return false;
  std::memcpy(&magic, head.data(), sizeof(magic));
  return magic == kTokenShardMagic;
}

// The length of a JSON header, then the header.
bool IsSafetensors(std::string_view head) {
  uint64_t header_bytes;
  if (head.size() <= sizeof(header_bytes)) return false;
  std::memcpy(&header_bytes, head.data(), sizeof(header_bytes));
  return header_bytes < (1 << 30) && head[sizeof(header_bytes)] == '{';
}

// A protocol buffer whose first field is a piece: its text, then its score or type.
bool IsTokenizer(std::string_view head) {
  const auto byte = [head](size_t at) { return static_cast<uint8_t>(head[at]); };
  if (head.size() < 5 || head[0] != 0x0a || head[2] != 0x0a) return false;
  const size_t text_end = 4 + size_t{byte(3)};
  return byte(3) + 2U <= byte(1) && text_end < head.size() &&
         (byte(text_end) == 0x15 || byte(text_end) == 0x18);
}

FileKind KindOfZip(std::string_view head) {
  if (head.find("data.pkl"sv) != head.npos) return FileKind::kTorchZip;
  return head.find(".npy"sv) != head.npos ? FileKind::kNumpyZip : FileKind::kZip;
}

bool IsText(std::string_view head) {
  return std::none_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte == 0x7f || (byte < 0x20 && (byte < '\t' || byte > '\r'));
  });
}

FileKind KindOfText(std::string_view head) {
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  std::string start(head.substr(0, 9));
  std::transform(start.begin(), start.end(), start.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (start == "<!doctype" || start.starts_with("<html")) return FileKind::kHtml;
  if (!head.starts_with('{')) return FileKind::kText;
  return head.find("\"weight_map\""sv) != head.npos ? FileKind::kSafetensorsIndex : FileKind::kJson;
}

}  // namespace

FileKind KindOf(std::span<const uint8_t> beginning) {
  const std::string_view head(reinterpret_cast<const char*>(beginning.data()),
                              std::min(beginning.size(), kLooked));
  if (head.empty()) return FileKind::kEmpty;
  for (const Signature& signature : kSignatures) {
    if (!head.starts_with(signature.bytes)) continue;
    // A text may begin like that, too: "GOLF is a game ...".
    const bool text = signature.kind != FileKind::kGitLfsPointer && IsText(head);
    return text ? FileKind::kText : signature.kind;
  }
  if (head.starts_with("PK\x03\x04")) return KindOfZip(head);
  if (IsShard(head)) return FileKind::kTokenShard;
  if (IsSafetensors(head)) return FileKind::kSafetensors;
  if (IsTokenizer(head)) return FileKind::kTokenizer;
  return IsText(head) ? KindOfText(head) : FileKind::kUnknown;
}

Result<FileKind> KindOfWeights(const std::string& path) {
  GOLF_ASSIGN(const MappedFile file, MappedFile::Open(path));
  const FileKind kind = KindOf(file.bytes());
  if (kind == FileKind::kCheckpoint || kind == FileKind::kSafetensors) return kind;
  const Status status = NotA("a checkpoint or safetensors file", file.bytes());
  return Status{status.code(), path + ": " + status.message()};
}

Status NotA(const std::string& wanted, std::span<const uint8_t> beginning) {
  const FileKind kind = KindOf(beginning);
  std::string text = "not " + wanted;
  if (kind != FileKind::kUnknown) {
    const Words words = WordsFor(kind);
    text += std::string(" but ") + words.name;
    if (*words.advice != 0) text += std::string("; ") + words.advice;
  }
  return {Code::kBadData, text};
}

}  // namespace golf
