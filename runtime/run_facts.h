// What a run was: the inputs by their hashes and every setting that can change the number. Audit log and receipt carry it.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/executor.h"
#include "runtime/token_stream.h"
#include "runtime/ttt_options.h"
#include "runtime/windows.h"

namespace golf {

struct RunFacts {
  std::string artifact_path;
  uint64_t artifact_bytes = 0;
  std::string artifact_sha256;     // of the whole file, hex
  std::string tokenizer_sha256;    // as the artifact names it
  bool tokenizer_checked = false;  // the artifact's byte table and this hash, against the model
  std::vector<ShardFacts> shards;
  std::optional<uint64_t> limit_tokens;  // where the text is cut short: how many of its tokens
  uint64_t stream_tokens = 0;            // kept after that and after the protocol's cut
  uint64_t targets = 0;                  // distinct ones: stream_tokens - 1
  WindowRule rule;
  std::string protocol;  // names rule.tail (TailOf)
  Precision precision = Precision::kFp32;
  std::string kernels;              // the variant in use: KernelTable::instructions
  size_t processes = 1;             // that share the work
  std::string golf = GOLF_VERSION;  // of this program
  std::optional<TttOptions> ttt;    // micro_batch as it is used, not 0
};

// The fields that schemas/AUDIT.md lists for the header; file names without their folders.
nlohmann::ordered_json ToJson(const RunFacts& facts);
// The settings of a header, to run it again; paths are the header's names. kBadData unless ToJson() of the facts gives
// back the same fields.
Result<RunFacts> RunFactsOf(const nlohmann::ordered_json& header);

}  // namespace golf
