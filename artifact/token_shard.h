// Token shards, the published binary format, little-endian: 256 int32 header words (word 0 = 20240520, word 1 = 1, word 2 =
// token count n, the rest 0), then n uint16 token ids; the file has exactly 1024 + 2n bytes.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "artifact/file.h"
#include "kernels/base/status.h"

namespace golf {

class TokenShard {
 public:
  // Maps the file; kBadData if header or size are wrong. Token ids are not looked at.
  static Result<TokenShard> Open(const std::string& path);
  std::span<const uint16_t> tokens() const { return tokens_; }
  const std::string& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }

 private:
  TokenShard(MappedFile file, std::span<const uint16_t> tokens)
      : file_(std::move(file)), tokens_(tokens) {}
  MappedFile file_;
  std::span<const uint16_t> tokens_;
};

// Atomically. At most 2^31 - 1 tokens (kUsage).
Status WriteTokenShard(const std::string& path, std::span<const uint16_t> tokens);

// The part of a data set that a shard belongs to.
enum class Split { kTrain, kValidation };

// The split that a file's name states: its last word "train" or "val" (also "training", "valid", "validation"),
// where a word is a run of letters, as in fineweb_val_000000.bin. Nothing if the name has no such word.
std::optional<Split> SplitOfName(const std::string& path);

// The shards that one argument names, in lexicographic order: a file; a folder, meaning its *.bin files; or a glob
// pattern. kIo if there is none.
Result<std::vector<std::string>> ListShards(const std::string& file_folder_or_glob);

// The shards of one split that the arguments name, in the order of the arguments. A folder means its shards of `split`;
// if no name in it states a split, it means all of them. kUsage if a folder holds shards of a stated split beside others
// whose names state none, or if the list as a whole mixes the splits. kIo if a folder has none of the split.
Result<std::vector<std::string>> ListShards(std::span<const std::string> arguments, Split split);

// A sentence about the first shard whose name states the other split, for a warning; empty if there is none.
std::string OtherSplit(std::span<const std::string> paths, Split split);

}  // namespace golf
