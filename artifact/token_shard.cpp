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

const char* NameOf(Split split) { return split == Split::kTrain ? "training" : "validation"; }

// The first path whose name states this split, or none; nullptr if there is no such path.
const std::string* FirstNamed(std::span<const std::string> paths, std::optional<Split> split) {
  const auto found = std::find_if(paths.begin(), paths.end(), [&](const std::string& path) {
    return SplitOfName(path) == split;
  });
  return found == paths.end() ? nullptr : &*found;
}

// What a folder means as the text of a split. `paths` are all of its shards.
Result<std::vector<std::string>> ShardsOfSplit(const std::string& folder,
                                               std::vector<std::string> paths, Split split) {
  const Split other = split == Split::kTrain ? Split::kValidation : Split::kTrain;
  const std::string* named = FirstNamed(paths, split);
  const std::string* others = FirstNamed(paths, other);
  if (named == nullptr && others == nullptr) return paths;
  if (const std::string* nameless = FirstNamed(paths, std::nullopt)) {
    return Status{Code::kUsage, *nameless + ": its name does not tell its split, as that of " +
                                    (named != nullptr ? *named : *others) +
                                    " does; rename it (*_train_*, *_val_*), or name the shards "
                                    "instead of the folder"};
  }
  if (named == nullptr) {
    return Status{Code::kIo, folder + ": no " + NameOf(split) + " shard; " + *others + " is a " +
                                 NameOf(other) + " shard by its name"};
  }
  std::erase_if(paths, [&](const std::string& path) { return SplitOfName(path) == other; });
  return paths;
}

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
  // The hash of a file then stands for its tokens: no copy of a text differs in unused words alone.
  if (std::any_of(header.begin() + 3, header.end(), [](int32_t word) { return word != 0; }))
    return bad("expected zeros behind the first three words of its header");
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

std::optional<Split> SplitOfName(const std::string& path) {
  std::optional<Split> split;
  std::string word;
  for (const char c : std::filesystem::path(path).filename().string() + ".") {
    if (c >= 'a' && c <= 'z') {
      word += c;
    } else if (c >= 'A' && c <= 'Z') {
      word += static_cast<char>(c - 'A' + 'a');
    } else {
      if (word == "train" || word == "training") split = Split::kTrain;
      if (word == "val" || word == "valid" || word == "validation") split = Split::kValidation;
      word.clear();
    }
  }
  return split;
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

Result<std::vector<std::string>> ListShards(std::span<const std::string> arguments, Split split) {
  std::vector<std::string> paths;
  for (const std::string& argument : arguments) {
    GOLF_ASSIGN(std::vector<std::string> some, ListShards(argument));
    std::error_code error;
    if (std::filesystem::is_directory(argument, error)) {
      GOLF_ASSIGN(some, ShardsOfSplit(argument, std::move(some), split));
    }
    paths.insert(paths.end(), some.begin(), some.end());
  }
  const std::string* train = FirstNamed(paths, Split::kTrain);
  const std::string* validation = FirstNamed(paths, Split::kValidation);
  if (train != nullptr && validation != nullptr) {
    return Status{Code::kUsage, *train + " is a training shard by its name, " + *validation +
                                    " a validation shard; one text takes shards of one split"};
  }
  return paths;
}

std::string OtherSplit(std::span<const std::string> paths, Split split) {
  const Split other = split == Split::kTrain ? Split::kValidation : Split::kTrain;
  const std::string* found = FirstNamed(paths, other);
  if (found == nullptr) return {};
  return *found + " is a " + NameOf(other) + " shard by its name, and is used as " + NameOf(split) +
         " text";
}

}  // namespace golf
