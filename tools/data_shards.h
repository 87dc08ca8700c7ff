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

#include "artifact/byte_table.h"
#include "artifact/file.h"
#include "kernels/base/status.h"
#include "tools/data_split.h"

namespace golf {

struct SplitTotals {
  uint64_t documents = 0;
  uint64_t tokens = 0;  // BOS included
  // What the byte table counts for tokens 1..n-1, the denominator of bits per byte.
  uint64_t counted_bytes = 0;
  uint64_t text_bytes = 0;  // of the stripped documents as they were read
};

class SplitWriter {
 public:
  // `name` is "train" or "val". Memory holds a shard and a document. `byte_table` must outlive the writer.
  static Result<SplitWriter> Create(const std::filesystem::path& folder, const std::string& prefix,
                                    const std::string& name, uint64_t shard_tokens, uint16_t bos,
                                    const ByteTable& byte_table);

  // Appends BOS and `tokens`. kUsage if the document would leave a whole shard without a BOS.
  Status Append(std::span<const uint16_t> tokens, const DocumentHash& hash, uint64_t text_bytes);
  Status Finish();

  const SplitTotals& totals() const { return totals_; }
  nlohmann::ordered_json Describe() const;  // totals and the shards with their SHA-256

 private:
  SplitWriter(AtomicFile hashes, const ByteTable& byte_table)
      : hashes_(std::move(hashes)), byte_table_(&byte_table) {}
  Status WriteShard(size_t count);  // the first `count` tokens of the buffer

  std::filesystem::path folder_;
  std::string stem_;  // <prefix>_<name>
  uint64_t shard_tokens_ = 0;
  uint16_t bos_ = 0;
  AtomicFile hashes_;
  const ByteTable* byte_table_;
  std::vector<uint16_t> buffer_;
  SplitTotals totals_;
  nlohmann::ordered_json shards_ = nlohmann::ordered_json::array();
};

}  // namespace golf
