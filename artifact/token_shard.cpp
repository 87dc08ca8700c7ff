#include "artifact/token_shard.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <limits>

#include "artifact/file_kind.h"

namespace golf {
namespace {

constexpr int32_t kVersion = 1;
using Header = std::array<int32_t, 256>;

}  // namespace

Result<TokenShard> TokenShard::Open(const std::string& path) {
  GOLF_ASSIGN(MappedFile file, MappedFile::Open(path));
  const std::span<const uint8_t> bytes = file.bytes();
  const auto bad = [&](const std::string& why) {
    return Status{Code::kBadData, path + ": not a token shard: " + why};
  };
  if (KindOf(bytes) != FileKind::kTokenShard)
    return Status{Code::kBadData, path + ": " + NotA("a token shard", bytes).message()};
  Header header;
  if (bytes.size() < sizeof(header)) return bad("shorter than its header of 1024 bytes");
  std::memcpy(header.data(), bytes.data(), sizeof(header));
  if (header[1] != kVersion)
    return bad("expected version 1, found version " + std::to_string(header[1]));
  if (header[2] < 0) return bad("negative token count " + std::to_string(header[2]));
  const size_t count = static_cast<size_t>(header[2]);
  const size_t expected = sizeof(header) + 2 * count;
  if (bytes.size() != expected) {
    return bad("the header says " + std::to_string(count) + " tokens = " +
               std::to_string(expected) + " bytes, the file has " + std::to_string(bytes.size()));
  }
  // The map is page-aligned and the header has an even size.
  const auto* first = reinterpret_cast<const uint16_t*>(bytes.data() + sizeof(header));
  return TokenShard(std::move(file), {first, count});
}

Status WriteTokenShard(const std::string& path, std::span<const uint16_t> tokens) {
  if (tokens.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return {Code::kUsage,
            path + ": " + std::to_string(tokens.size()) + " tokens do not fit one shard"};
  }
  Header header{kTokenShardMagic, kVersion, static_cast<int32_t>(tokens.size())};
  GOLF_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  GOLF_TRY(file.Write({reinterpret_cast<const uint8_t*>(header.data()), sizeof(header)}));
  GOLF_TRY(file.Write({reinterpret_cast<const uint8_t*>(tokens.data()), tokens.size_bytes()}));
  return file.Commit();
}

Result<std::vector<std::string>> ListShards(const std::string& file_folder_or_glob) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  std::error_code error;
  if (fs::is_directory(file_folder_or_glob, error)) {
    fs::directory_iterator entries(file_folder_or_glob, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      if (entries->path().extension() == ".bin") paths.push_back(entries->path().string());
    }
    if (error) return Status{Code::kIo, file_folder_or_glob + ": cannot list: " + error.message()};
  } else if (fs::exists(file_folder_or_glob, error)) {
    paths.push_back(file_folder_or_glob);
  } else {
    glob_t found{};
    if (::glob(file_folder_or_glob.c_str(), 0, nullptr, &found) == 0) {
      paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    }
    ::globfree(&found);
  }
  if (paths.empty()) {
    return Status{Code::kIo,
                  file_folder_or_glob +
                      ": no token shard; expected a .bin file, a folder of them or a pattern"};
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace golf
