// The header of an audit log, as its verifier reads it.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "kernels/base/status.h"
#include "runtime/audit_schedule.h"

namespace golf {

struct AuditHeader {
  AuditSettings settings;
  std::string artifact_sha256, tokenizer_sha256;
  std::string protocol;
  uint64_t artifact_bytes = 0;
  uint64_t shard_tokens = 0;  // in the shards
  uint64_t used_tokens =
      0;  // that are scored or come before: the protocol and --limit-tokens leave out the others
  std::optional<uint64_t> limit;  // --limit-tokens, where it leaves out something
};

// Ok if every field is there, is of its kind and range, and they agree with one another; kBadData names the first fault.
Result<AuditHeader> ReadAuditHeader(const nlohmann::ordered_json& record);

}  // namespace golf
