// An independent reader of audit logs: it shares no code with scorer and log writer (SHA-256 and file reading apart) and
// answers one question: do these records describe a legal evaluation whose numbers add up?
//
// Checked: every line names the hash of the one before; targets are scored from left to right, each exactly once, up to
// the last; training only on targets scored before, never after the last score; every record names the weights that the
// records before it produced; sums, loss and bits per byte of the end record follow from the score records.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/byte_table.h"
#include "kernels/base/status.h"

namespace golf {

// What the log is compared with beyond itself. Empty: not compared.
struct AuditEvidence {
  std::string artifact_path;             // hash
  std::vector<std::string> shard_paths;  // hashes, in order
  std::optional<ByteTable>
      byte_table;            // with shards: the bytes of every score record are counted again
  std::string receipt_path;  // head of the log and totals
};

struct AuditReport {
  std::string artifact_sha256, head_sha256, protocol;
  uint64_t targets = 0;  // of the stream
  // Scores beyond the first of a target; never under the protocol "once".
  uint64_t repeated = 0;
  uint64_t bytes = 0, count = 0, score_records = 0, train_records = 0, updates = 0;
  double nll_nats = 0, loss_nats = 0, bits_per_byte = 0;
  bool bytes_recounted = false;
};

// kBadData: "FILE, line N: what is wrong". kIo if something cannot be read.
Result<AuditReport> VerifyAudit(const std::string& log_path, const AuditEvidence& evidence = {});
// The same of a log in memory; `name` is what messages call it.
Result<AuditReport> VerifyAuditText(std::string_view log, const std::string& name,
                                    const AuditEvidence& evidence = {});

}  // namespace golf
