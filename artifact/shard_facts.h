// Which token shards were read: by content, so that neither a new name nor a copy makes a shard another one.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "artifact/token_shard.h"
#include "kernels/base/status.h"

namespace flatbuffers {
template <class T>
struct Offset;
template <class T>
class Vector;
}  // namespace flatbuffers

namespace golf {

namespace schema {
struct Shard;
struct ShardT;
}  // namespace schema

struct ShardFacts {
  std::string path;    // as it was opened; checkpoints and artifacts keep the file's name alone
  std::string sha256;  // of the whole file, 64 hexadecimal digits
  uint64_t tokens = 0;
  bool operator==(const ShardFacts&) const = default;
};

// Digests of the mapped bytes, several shards at a time.
std::vector<ShardFacts> FactsOf(std::span<const TokenShard> shards);

// kBadData with both names if two of the shards have the same content; shards without tokens do not count. kUsage for more
// than 65,536 shards.
Status CheckEachOnce(std::span<const ShardFacts> shards);

// kBadData with both names and the reason why, if a shard is in both lists.
Status CheckApart(std::span<const ShardFacts> shards, std::span<const ShardFacts> others,
                  const std::string& why);

// kBadData, with the names of the first two that differ, unless `now` is the same text as `before`: the same contents in
// the same order, under any names.
Status CheckSameText(std::span<const ShardFacts> before, std::span<const ShardFacts> now);

// To and from their FlatBuffers table. `tables` may be null and has passed the verifier; its meaning is checked here:
// kBadData for more than 65,536 shards, names above 255 bytes and digests of another length.
using ShardTables = flatbuffers::Vector<flatbuffers::Offset<schema::Shard>>;
std::vector<std::unique_ptr<schema::ShardT>> PackShards(std::span<const ShardFacts> shards);
Result<std::vector<ShardFacts>> UnpackShards(const ShardTables* tables);

}  // namespace golf
