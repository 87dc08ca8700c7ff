// Token shards, the published binary format, little-endian: 256 int32 header words (word 0 = 20240520, word 1 = 1, word 2 =
// token count n, the rest 0), then n uint16 token ids; the file has exactly 1024 + 2n bytes.
#pragma once
#include <cstdint>
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

 private:
  TokenShard(MappedFile file, std::span<const uint16_t> tokens)
      : file_(std::move(file)), tokens_(tokens) {}
  MappedFile file_;
  std::span<const uint16_t> tokens_;
};

// Atomically. At most 2^31 - 1 tokens (kUsage).
Status WriteTokenShard(const std::string& path, std::span<const uint16_t> tokens);

// The shards that one argument names, in lexicographic order: a file; a folder, meaning its *.bin files; or a glob
// pattern. kIo if there is none.
Result<std::vector<std::string>> ListShards(const std::string& file_folder_or_glob);

}  // namespace golf
