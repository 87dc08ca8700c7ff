// Writes one split of a data set: shards filled to the last token (documents run on into the next one; the last shard takes
// the tail of its last document along, so that each has a BOS), a list of document hashes, and the totals. File names are those of the published sets:
//   <prefix>_train_000000.bin ...   <prefix>_val_000000.bin ...   <prefix>_train.docs   <prefix>_val.docs
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "artifact/file.h"
#include "kernels/base/status.h"
#include "tools/data_split.h"

namespace golf {

struct TextBytes {
  uint64_t text = 0;     // of the stripped document as it was read
  uint64_t seen = 0;     // of its tokens decoded
  uint64_t counted = 0;  // by the tokenizer's byte table: the denominator of bits per byte
};

class SplitWriter {
 public:
  // `name` is "train" or "val". Memory holds a shard and a document.
  static Result<SplitWriter> Create(const std::filesystem::path& folder, const std::string& prefix,
                                    const std::string& name, uint64_t shard_tokens, uint16_t bos);

  // Appends BOS and `tokens`. kUsage if the document would leave a whole shard without a BOS.
  Status Append(std::span<const uint16_t> tokens, const DocumentHash& hash, const TextBytes& bytes);
  Status Finish();

  uint64_t documents() const { return documents_; }
  nlohmann::ordered_json Describe() const;  // totals and the shards with their SHA-256

 private:
  explicit SplitWriter(AtomicFile hashes) : hashes_(std::move(hashes)) {}
  Status WriteShard(size_t count);  // the first `count` tokens of the buffer

  std::filesystem::path folder_;
  std::string stem_;  // <prefix>_<name>
  uint64_t shard_tokens_ = 0;
  uint16_t bos_ = 0;
  AtomicFile hashes_;
  std::vector<uint16_t> buffer_;
  uint64_t documents_ = 0;
  uint64_t tokens_ = 0;  // BOS included
  TextBytes bytes_;
  nlohmann::ordered_json shards_ = nlohmann::ordered_json::array();
};

}  // namespace golf
