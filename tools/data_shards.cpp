#include "tools/data_shards.h"

#include <fmt/format.h>

#include "artifact/sha256.h"
#include "artifact/token_shard.h"

namespace golf {

Result<SplitWriter> SplitWriter::Create(const std::filesystem::path& folder,
                                        const std::string& prefix, const std::string& name,
                                        uint64_t shard_tokens, uint16_t bos) {
  const std::string stem = prefix + "_" + name;
  GOLF_ASSIGN(auto hashes, AtomicFile::Create((folder / (stem + ".docs")).string()));
  SplitWriter writer(std::move(hashes));
  writer.folder_ = folder;
  writer.stem_ = stem;
  writer.shard_tokens_ = shard_tokens;
  writer.bos_ = bos;
  return writer;
}

Status SplitWriter::Append(std::span<const uint16_t> tokens, const DocumentHash& hash,
                           const TextBytes& bytes) {
  if (tokens.size() >= shard_tokens_) {
    return {Code::kUsage,
            fmt::format("a document of {} tokens would fill a shard of {}; allow longer shards",
                        tokens.size(), shard_tokens_)};
  }
  // A full shard waits for the BOS that follows it: what runs over into the next shard is then never a tail without one.
  if (buffer_.size() >= shard_tokens_) GOLF_TRY(WriteShard(shard_tokens_));
  buffer_.push_back(bos_);
  buffer_.insert(buffer_.end(), tokens.begin(), tokens.end());
  ++documents_;
  tokens_ += 1 + tokens.size();
  bytes_.text += bytes.text;
  bytes_.seen += bytes.seen;
  bytes_.counted += bytes.counted;
  return hashes_.Write(AsBytes(hash.hex() + "\n"));
}

Status SplitWriter::Finish() {
  if (documents_ == 0) return {};  // nothing was assigned to this side: no files
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
  return {{"documents", documents_},         {"tokens", tokens_},
          {"counted_bytes", bytes_.counted}, {"decoded_bytes", bytes_.seen},
          {"text_bytes", bytes_.text},       {"shards", shards_}};
}

}  // namespace golf
