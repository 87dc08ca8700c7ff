// What a run was: the inputs by their hashes and every setting that can change the number. Audit log and receipt carry it.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/executor.h"
#include "runtime/token_stream.h"
#include "runtime/ttt_options.h"
#include "runtime/windows.h"

namespace golf {

struct RunFacts {
  std::string artifact_path;
  uint64_t artifact_bytes = 0;
  std::string artifact_sha256;   // of the whole file, hex
  std::string tokenizer_sha256;  // as the artifact names it
  std::vector<ShardFacts> shards;
  uint64_t stream_tokens = 0;  // kept after --limit-tokens and the protocol's cut
  uint64_t targets = 0;        // distinct ones: stream_tokens - 1
  WindowRule rule;
  std::string protocol;  // names rule.tail (TailOf)
  Precision precision = Precision::kFp32;
  std::optional<TttOptions> ttt;
};

// The fields that schemas/AUDIT.md lists for the header; file names without their folders.
nlohmann::ordered_json ToJson(const RunFacts& facts);

}  // namespace golf
