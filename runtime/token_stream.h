// The text to be scored: token shards concatenated in the order given, kept as the published 16-bit ids.
// Target t (0 <= t < targets()) is the prediction of token t + 1 from tokens 0..t; only the first token is no target.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "artifact/shard_facts.h"
#include "kernels/base/status.h"

namespace golf {

class TokenStream {
 public:
  // The first `limit_tokens` tokens of the shards (0: all of them). Every id has to be below vocab_size and there have
  // to be two tokens at least; kBadData names shard and position otherwise, and two shards of the same content.
  static Result<TokenStream> Open(std::span<const std::string> shard_paths, uint32_t vocab_size,
                                  size_t limit_tokens);
  static Result<TokenStream> FromTokens(std::vector<uint16_t> tokens, uint32_t vocab_size);

  // Drops the targets that do not fill a whole window, as the reference scripts do: targets = floor(targets / T) * T.
  // kBadData where nothing would be left.
  Status CutToWholeWindows(size_t window);

  size_t targets() const { return tokens_.size() - 1; }
  std::span<const uint16_t> tokens() const { return tokens_; }
  const std::vector<ShardFacts>& shards() const { return shards_; }  // those that were opened

 private:
  std::vector<uint16_t> tokens_;
  std::vector<ShardFacts> shards_;
};

}  // namespace golf
