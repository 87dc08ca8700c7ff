#include "artifact/dataset.h"

#include <filesystem>
#include <functional>
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

struct Description {
  std::string path;
  std::optional<NamedTokenizer> tokenizer;
  uint64_t miscounted_documents = 0;
};

Result<Description> ReadDescription(const std::string& path) {
  GOLF_ASSIGN(const nlohmann::json json, ReadJson(path));
  Description description{path, {}};
  if (JsonField(json, "miscounted_documents") != nullptr) {
    const Result<uint64_t> miscounted = JsonWhole(json, "miscounted_documents");
    if (!miscounted.ok())
      return Status{Code::kBadData, path + ": " + miscounted.status().message()};
    description.miscounted_documents = *miscounted;
  }
  const nlohmann::json* tokenizer = JsonField(json, "tokenizer");
  if (tokenizer == nullptr || JsonField(*tokenizer, "sha256") == nullptr) return description;
  const Result<std::string> stated = JsonText(*tokenizer, "sha256");
  std::vector<uint8_t> digest;
  if (!stated.ok() || !FromHex(*stated, digest) || digest.size() != sizeof(Sha256Digest))
    return Status{Code::kBadData, path + ": the SHA-256 of its tokenizer is none"};
  description.tokenizer = {ToHex(digest), path};
  return description;
}

// Calls `take` with the description of each folder, and a shard in it.
Status ForEachDescription(
    std::span<const ShardFacts> shards,
    const std::function<Status(const Description&, const std::string&)>& take) {
  std::set<std::string> read;
  for (const ShardFacts& shard : shards) {
    const std::string path = Beside(shard.path, "dataset.json");
    if (path.empty() || !read.insert(path).second) continue;
    GOLF_ASSIGN(const Description description, ReadDescription(path));
    GOLF_TRY(take(description, shard.path));
  }
  return {};
}

}  // namespace

Status CheckTokenizerOf(std::span<const ShardFacts> shards,
                        std::optional<NamedTokenizer> expected) {
  return ForEachDescription(shards, [&](const Description& d, const std::string& shard) -> Status {
    if (!d.tokenizer) return {};
    if (!expected) expected = d.tokenizer;
    if (d.tokenizer->sha256 == expected->sha256) return {};
    return {Code::kBadData, shard + ": made with another tokenizer: " + d.path + " names SHA-256 " +
                                d.tokenizer->sha256 + ", " + expected->where + " has " +
                                expected->sha256};
  });
}

Result<std::string> WarningOfMiscounts(std::span<const ShardFacts> shards) {
  std::string warning;
  GOLF_TRY(ForEachDescription(shards, [&](const Description& d, const std::string&) -> Status {
    if (d.miscounted_documents == 0) return {};
    warning += (warning.empty() ? "" : "; ") + d.path +
               ": the tokenizer does not count the bytes of " +
               std::to_string(d.miscounted_documents) +
               " documents exactly, so bits per byte are approximate";
    return {};
  }));
  return warning;
}

std::string TokenizerModelBeside(const std::string& shard_path) {
  return Beside(shard_path, "tokenizer.model");
}

}  // namespace golf
