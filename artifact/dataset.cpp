#include "artifact/dataset.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "artifact/json.h"
#include "artifact/sha256.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

// The file of that name beside a shard; empty if there is none.
std::string Beside(const std::string& shard_path, const char* name) {
  std::error_code error;
  const fs::path link = shard_path, file = fs::weakly_canonical(link, error);
  for (const fs::path& shard : {link, file}) {
    const fs::path beside = shard.parent_path() / name;
    if (!shard.empty() && fs::exists(beside, error)) return beside.string();
  }
  return {};
}

Result<std::optional<NamedTokenizer>> ReadDescription(const std::string& path) {
  GOLF_ASSIGN(const nlohmann::json description, ReadJson(path));
  const nlohmann::json* tokenizer = JsonField(description, "tokenizer");
  if (tokenizer == nullptr || JsonField(*tokenizer, "sha256") == nullptr)
    return std::optional<NamedTokenizer>();
  const Result<std::string> stated = JsonText(*tokenizer, "sha256");
  std::vector<uint8_t> digest;
  if (!stated.ok() || !FromHex(*stated, digest) || digest.size() != sizeof(Sha256Digest))
    return Status{Code::kBadData, path + ": the SHA-256 of its tokenizer is none"};
  return std::optional(NamedTokenizer{ToHex(digest), path});
}

}  // namespace

Status CheckTokenizerOf(std::span<const ShardFacts> shards,
                        std::optional<NamedTokenizer> expected) {
  std::set<std::string> read;
  for (const ShardFacts& shard : shards) {
    const std::string path = Beside(shard.path, "dataset.json");
    if (path.empty() || !read.insert(path).second) continue;
    GOLF_ASSIGN(const std::optional<NamedTokenizer> found, ReadDescription(path));
    if (!found) continue;
    if (!expected) expected = found;
    if (found->sha256 == expected->sha256) continue;
    return {Code::kBadData, shard.path + ": made with another tokenizer: " + found->where +
                                " names SHA-256 " + found->sha256 + ", " + expected->where +
                                " has " + expected->sha256};
  }
  return {};
}

std::string TokenizerModelBeside(const std::string& shard_path) {
  return Beside(shard_path, "tokenizer.model");
}

}  // namespace golf
