#include "tools/data_stream.h"

namespace golf {

Result<bool> DocumentStream::Next(std::vector<uint16_t>& tokens) {
  tokens.clear();
  while (true) {
    GOLF_ASSIGN(const std::optional<uint16_t> token, NextToken());
    if (!token) {
      const bool last = inside_ || !tokens.empty();
      inside_ = false;
      return last;
    }
    if (*token != bos_) {
      tokens.push_back(*token);
    } else if (inside_ || !tokens.empty()) {
      inside_ = true;
      return true;
    } else {
      inside_ = true;
    }
  }
}

Result<std::optional<uint16_t>> DocumentStream::NextToken() {
  while (!shard_ || position_ == shard_->tokens().size()) {
    if (next_shard_ == shards_.size()) return std::optional<uint16_t>();
    GOLF_ASSIGN(TokenShard shard, TokenShard::Open(shards_[next_shard_++]));
    shard_.emplace(std::move(shard));
    position_ = 0;
  }
  return std::optional<uint16_t>(shard_->tokens()[position_++]);
}

}  // namespace golf
