#include "runtime/token_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "artifact/token_shard.h"

namespace golf {
namespace {

Status CheckIds(std::span<const uint16_t> tokens, uint32_t vocab_size, const std::string& where) {
  const auto bad =
      std::find_if(tokens.begin(), tokens.end(), [&](uint16_t id) { return id >= vocab_size; });
  if (bad == tokens.end()) return {};
  return {Code::kBadData,
          fmt::format(
              "{}: token {} is {}, the network's vocabulary ends at {}; was this shard made with "
              "another tokenizer?",
              where, bad - tokens.begin(), *bad, vocab_size - 1)};
}

}  // namespace

Result<TokenStream> TokenStream::Open(std::span<const std::string> shard_paths, uint32_t vocab_size,
                                      size_t limit_tokens) {
  TokenStream stream;
  for (const std::string& path : shard_paths) {
    const size_t wanted = limit_tokens == 0 ? SIZE_MAX : limit_tokens - stream.tokens_.size();
    if (wanted == 0) break;
    GOLF_ASSIGN(const TokenShard shard, TokenShard::Open(path));
    const std::span<const uint16_t> tokens =
        shard.tokens().first(std::min(wanted, shard.tokens().size()));
    GOLF_TRY(CheckIds(tokens, vocab_size, path));
    stream.tokens_.insert(stream.tokens_.end(), tokens.begin(), tokens.end());
    const std::vector<ShardFacts> facts = FactsOf({&shard, 1});
    stream.shards_.push_back(facts.front());
  }
  GOLF_TRY(CheckEachOnce(stream.shards_));
  if (stream.tokens_.size() < 2) {
    return Status(Code::kBadData,
                  fmt::format("{} tokens in {} shards: at least 2 are needed to score one",
                              stream.tokens_.size(), stream.shards_.size()));
  }
  return stream;
}

Result<TokenStream> TokenStream::FromTokens(std::vector<uint16_t> tokens, uint32_t vocab_size) {
  GOLF_TRY(CheckIds(tokens, vocab_size, "token stream"));
  if (tokens.size() < 2) return Status(Code::kBadData, "a token stream needs 2 tokens at least");
  TokenStream stream;
  stream.tokens_ = std::move(tokens);
  return stream;
}

Status TokenStream::CutToWholeWindows(size_t window) {
  const size_t kept = targets() / window * window;
  if (kept == 0) {
    return {Code::kBadData,
            fmt::format("{} targets do not fill one window of {}", targets(), window)};
  }
  tokens_.resize(kept + 1);
  return {};
}

}  // namespace golf
