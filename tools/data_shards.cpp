#include "tools/data_shards.h"

#include <fmt/format.h>

#include "artifact/sha256.h"
#include "artifact/token_shard.h"

namespace golf {

Result<SplitWriter> SplitWriter::Create(const std::filesystem::path& folder,
                                        const std::string& prefix, const std::string& name,
                                        uint64_t shard_tokens, uint16_t bos,
                                        const ByteTable& byte_table) {
  const std::string stem = prefix + "_" + name;
  GOLF_ASSIGN(auto hashes, AtomicFile::Create((folder / (stem + ".docs")).string()));
  SplitWriter writer(std::move(hashes), byte_table);
  writer.folder_ = folder;
  writer.stem_ = stem;
  writer.shard_tokens_ = shard_tokens;
  writer.bos_ = bos;
  return writer;
}

Status SplitWriter::Append(std::span<const uint16_t> tokens, const DocumentHash& hash,
                           uint64_t text_bytes) {
  if (tokens.size() >= shard_tokens_) {
    return {Code::kUsage,
            fmt::format("a document of {} tokens would fill a shard of {}; allow longer shards",
                        tokens.size(), shard_tokens_)};
  }
  // A full shard waits for the BOS that follows it: what runs over into the next shard is then never a tail without one.
  if (buffer_.size() >= shard_tokens_) GOLF_TRY(WriteShard(shard_tokens_));
  buffer_.push_back(bos_);
  uint16_t previous = bos_;
  for (uint16_t token : tokens) {
    totals_.counted_bytes += byte_table_->Count(previous, token);
    previous = token;
  }
  buffer_.insert(buffer_.end(), tokens.begin(), tokens.end());
  ++totals_.documents;
  totals_.tokens += 1 + tokens.size();
  totals_.text_bytes += text_bytes;
  return hashes_.Write(AsBytes(hash.hex() + "\n"));
}

Status SplitWriter::Finish() {
  if (totals_.documents == 0) return {};  // nothing was assigned to this side: no files
  if (!buffer_.empty()) GOLF_TRY(WriteShard(buffer_.size()));
  return hashes_.Commit();
}

Status SplitWriter::WriteShard(size_t count) {
  const std::span<const uint16_t> tokens(buffer_.data(), count);
  const std::string name = fmt::format("{}_{:06}.bin", stem_, shards_.size());
  const std::string path = (folder_ / name).string();
  GOLF_TRY(WriteTokenShard(path, tokens));
  GOLF_ASSIGN(const std::string digest, Sha256OfFile(path));
  shards_.push_back({{"file", name}, {"tokens", count}, {"sha256", digest}});
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(count));
  return {};
}

nlohmann::ordered_json SplitWriter::Describe() const {
  return {{"documents", totals_.documents},
          {"tokens", totals_.tokens},
          {"counted_bytes", totals_.counted_bytes},
          {"text_bytes", totals_.text_bytes},
          {"shards", shards_}};
}

}  // namespace golf
