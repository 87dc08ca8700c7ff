// The shards of one split as a sequence of documents, mapped one shard at a time.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "artifact/token_shard.h"
#include "kernels/base/status.h"

namespace golf {

// A document is what stands between two BOS, BOS excluded; it may run across shards.
class DocumentStream {
 public:
  DocumentStream(std::vector<std::string> shards, uint16_t bos)
      : shards_(std::move(shards)), bos_(bos) {}

  // The next document, or false at the end. Tokens before the first BOS count as a document.
  Result<bool> Next(std::vector<uint16_t>& tokens);

 private:
  // The next token, or nothing at the end of the last shard.
  Result<std::optional<uint16_t>> NextToken();

  std::vector<std::string> shards_;
  uint16_t bos_;
  size_t next_shard_ = 0, position_ = 0;
  std::optional<TokenShard> shard_;
  bool inside_ = false;  // the BOS of the coming document was read
};

}  // namespace golf
