// What lies beside token shards in the folder that golf-data made: dataset.json, which names the tokenizer of the shards,
// and tokenizer.model. A shard that is a symbolic link has the folder of the link, else that of the file.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "artifact/shard_facts.h"
#include "kernels/base/status.h"

namespace golf {

// A tokenizer by the SHA-256 of its model file, and who says so.
struct NamedTokenizer {
  std::string sha256;  // 64 hexadecimal digits
  std::string where;   // a path
};

// kBadData, with both sides, if a dataset.json beside one of the shards names another tokenizer than `expected`; if
// `expected` is nothing, all have to name the same. A dataset.json of another kind, which names no tokenizer, says nothing;
// one that is damaged is kBadData.
Status CheckTokenizerOf(std::span<const ShardFacts> shards, std::optional<NamedTokenizer> expected);

// A sentence for a warning if a dataset.json beside one of the shards says that golf-data took documents whose bytes the
// tokenizer does not count exactly (--approximate-bytes); else empty. kBadData if a dataset.json is damaged.
Result<std::string> WarningOfMiscounts(std::span<const ShardFacts> shards);

// tokenizer.model beside the shard; empty if there is none.
std::string TokenizerModelBeside(const std::string& shard_path);

}  // namespace golf
