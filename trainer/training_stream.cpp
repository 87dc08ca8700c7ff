#include "trainer/training_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/check.h"

namespace golf {

Result<TrainingStream> TrainingStream::Open(std::span<const std::string> paths, uint32_t vocab_size,
                                            bool skip_bad) {
  TrainingStream stream(vocab_size);
  for (const std::string& path : paths) {
    Result<TokenShard> shard = TokenShard::Open(path);
    if (!shard.ok()) {
      if (!skip_bad) return shard.status();
      stream.skipped_.push_back(shard.status());
      continue;
    }
    if (shard->tokens().empty()) continue;
    stream.starts_.push_back(stream.starts_.back() + shard->tokens().size());
    stream.shards_.push_back(std::move(*shard));
  }
  if (stream.shards_.empty()) {
    return Status(Code::kBadData, fmt::format("no training tokens in {} shard(s)", paths.size()));
  }
  stream.facts_ = FactsOf(stream.shards_);
  GOLF_TRY(CheckEachOnce(stream.facts_));
  return stream;
}

template <class Sink>
Status TrainingStream::ForEach(uint64_t position, uint64_t count, Sink sink) const {
  position %= tokens();
  size_t shard = std::upper_bound(starts_.begin(), starts_.end(), position) - starts_.begin() - 1;
  while (count > 0) {
    const std::span<const uint16_t> all = shards_[shard].tokens();
    const uint64_t first = position - starts_[shard];
    const uint64_t take = std::min<uint64_t>(count, all.size() - first);
    for (uint64_t i = first; i < first + take; ++i) {
      if (all[i] >= vocab_size_) {
        return {Code::kBadData,
                fmt::format(
                    "{}: token {} has id {}, expected less than the vocabulary's {}; was it made "
                    "with another tokenizer?",
                    shards_[shard].path(), i, all[i], vocab_size_)};
      }
      sink(int32_t{all[i]});
    }
    count -= take;
    shard = (shard + 1) % shards_.size();
    position = starts_[shard];
  }
  return {};
}

Status TrainingStream::ReadSpan(uint64_t position, std::span<int32_t> ids,
                                std::span<int32_t> targets) const {
  GOLF_CHECK(ids.size() == targets.size() && !ids.empty());
  const size_t n = ids.size();
  size_t i = 0;
  return ForEach(position, n + 1, [&](int32_t token) {
    if (i < n) ids[i] = token;
    if (i > 0) targets[i - 1] = token;
    ++i;
  });
}

}  // namespace golf
