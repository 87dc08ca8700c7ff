#include "artifact/shard_facts.h"

#include <filesystem>
#include <unordered_map>

#include "artifact/sha256.h"
#include "kernels/base/check.h"
#include "kernels/threads.h"
#include "schemas/shard_generated.h"

namespace golf {
namespace {

constexpr size_t kMaxShards = 1 << 16;
constexpr size_t kMaxNameBytes = 255;

// By digest; those without tokens are left out, as they are no text.
using ByContent = std::unordered_map<std::string_view, const ShardFacts*>;

std::string FileName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

}  // namespace

std::vector<ShardFacts> FactsOf(std::span<const TokenShard> shards) {
  std::vector<Sha256Digest> digests(shards.size());
  ParallelTasks(shards.size(), true,
                [&](size_t i) { digests[i] = Sha256::OfMapped(shards[i].file()); });
  std::vector<ShardFacts> facts;
  for (size_t i = 0; i < shards.size(); ++i)
    facts.push_back({shards[i].path(), ToHex(digests[i]), shards[i].tokens().size()});
  return facts;
}

Status CheckEachOnce(std::span<const ShardFacts> shards) {
  if (shards.size() > kMaxShards) {
    return {Code::kUsage, std::to_string(shards.size()) + " shards, expected at most " +
                              std::to_string(kMaxShards) + "; make larger ones"};
  }
  ByContent known;
  for (const ShardFacts& shard : shards) {
    if (shard.tokens == 0) continue;
    const auto [at, is_new] = known.emplace(shard.sha256, &shard);
    if (is_new) continue;
    return {Code::kBadData, shard.path + ": the same text as " + at->second->path + " (SHA-256 " +
                                shard.sha256 + "); give each shard once"};
  }
  return {};
}

Status CheckApart(std::span<const ShardFacts> shards, std::span<const ShardFacts> others,
                  const std::string& why) {
  ByContent known;
  for (const ShardFacts& other : others) {
    if (other.tokens > 0) known.emplace(other.sha256, &other);
  }
  for (const ShardFacts& shard : shards) {
    const auto found = known.find(shard.sha256);
    if (found == known.end()) continue;
    return {Code::kBadData, shard.path + ": the same text as " + found->second->path + ", " + why +
                                " (SHA-256 " + shard.sha256 + ")"};
  }
  return {};
}

Status CheckSameText(std::span<const ShardFacts> before, std::span<const ShardFacts> now) {
  for (size_t i = 0; i < before.size() || i < now.size(); ++i) {
    const std::string at = "shard " + std::to_string(i + 1) + " ";
    if (i == now.size()) return {Code::kBadData, at + "was " + before[i].path + ", is missing now"};
    if (i == before.size()) return {Code::kBadData, at + "is " + now[i].path + ", there was none"};
    if (before[i].sha256 == now[i].sha256) continue;
    return {Code::kBadData, at + "was " + before[i].path + " (SHA-256 " + before[i].sha256 +
                                "), is " + now[i].path + " (" + now[i].sha256 + ")"};
  }
  return {};
}

std::vector<std::unique_ptr<schema::ShardT>> PackShards(std::span<const ShardFacts> shards) {
  GOLF_CHECK(shards.size() <= kMaxShards);
  std::vector<std::unique_ptr<schema::ShardT>> tables;
  for (const ShardFacts& shard : shards) {
    auto table = std::make_unique<schema::ShardT>();
    table->name = FileName(shard.path);
    GOLF_CHECK(FromHex(shard.sha256, table->sha256) &&
               table->sha256.size() == sizeof(Sha256Digest));
    table->tokens = shard.tokens;
    tables.push_back(std::move(table));
  }
  return tables;
}

Result<std::vector<ShardFacts>> UnpackShards(const ShardTables* tables) {
  const auto bad = [](const std::string& why) {
    return Status{Code::kBadData, "list of shards: " + why};
  };
  std::vector<ShardFacts> shards;
  if (tables == nullptr) return shards;
  if (tables->size() > kMaxShards) return bad(std::to_string(tables->size()) + " entries");
  for (const schema::Shard* table : *tables) {
    if (table->sha256()->size() != sizeof(Sha256Digest)) return bad("a digest has not 32 bytes");
    if (table->name()->size() > kMaxNameBytes) return bad("a name is longer than 255 bytes");
    shards.push_back({table->name()->str(),
                      ToHex({table->sha256()->data(), table->sha256()->size()}), table->tokens()});
  }
  return shards;
}

}  // namespace golf
