// The training text: token shards concatenated in order and read in a circle, without shuffling.
//
// It is consumed in spans of n + 1 tokens, one behind the other: a span's inputs are its first n tokens, its targets the
// last n, so the last token of each is only ever a target. Which process takes a span, and when, does not matter: a run
// whose steps take k spans reads, in step t, those at k t (n + 1), ..., (k t + k - 1) (n + 1).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "artifact/shard_facts.h"
#include "artifact/token_shard.h"
#include "kernels/base/status.h"

namespace golf {

class TrainingStream {
 public:
  // A shard that is damaged (header, size) or cannot be opened is an error that names it; with skip_bad it is left out
  // and listed in skipped(). kBadData if nothing is left, or if two shards have the same content.
  static Result<TrainingStream> Open(std::span<const std::string> paths, uint32_t vocab_size,
                                     bool skip_bad = false);

  uint64_t tokens() const { return starts_.back(); }
  const std::vector<ShardFacts>& shards() const { return facts_; }  // those that are read, in order
  const std::vector<Status>& skipped() const { return skipped_; }

  // The span at `position` (taken modulo tokens()) of ids.size() targets; ids and targets have the same size. kBadData
  // names shard and position of a token that is not in the vocabulary.
  Status ReadSpan(uint64_t position, std::span<int32_t> ids, std::span<int32_t> targets) const;

 private:
  explicit TrainingStream(uint32_t vocab_size) : vocab_size_(vocab_size) {}
  // Calls sink(token) for `count` tokens from stream position `position`.
  template <class Sink>
  Status ForEach(uint64_t position, uint64_t count, Sink sink) const;

  uint32_t vocab_size_;
  std::vector<TokenShard> shards_;
  std::vector<ShardFacts> facts_;
  std::vector<uint64_t> starts_ = {
      0};  // stream position of each shard's first token, and the total
  std::vector<Status> skipped_;
};

}  // namespace golf
