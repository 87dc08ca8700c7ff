// An independent reader of audit logs: it shares no code with scorer and log writer (SHA-256 and file reading apart) and
// answers one question: do these records describe a legal evaluation whose numbers add up?
//
// Checked: every line names the hash of the one before; targets are scored from left to right, each exactly once, up to
// the last; training only on targets scored before, never after the last score; every record names the weights that the
// records before it produced; every range, count, learning rate and number of updates is the one that the header's settings
// call for (audit_schedule.h); sums, loss and bits per byte of the end record follow from the score records. The protocol
// "reference" scores the last targets again, exactly as often as its windows say.
//
// A log that passes is consistent. Whether the NLLs are those of the artifact, only a rerun tells (tools/rerun_audit.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/budget.h"
#include "artifact/shard_facts.h"
#include "artifact/tokenizer_info.h"
#include "kernels/base/status.h"
#include "runtime/packing_facts.h"

namespace golf {

// What the log is compared with beyond itself. Empty: not compared.
struct AuditEvidence {
  struct PackedFile {
    std::string path, sha256;
    uint64_t bytes = 0;
    TokenizerInfo tokenizer;            // that it carries
    std::vector<ShardFacts> seen = {};  // that it was trained or calibrated on, as it tells
  };
  struct Model {
    std::string path;
    TokenizerInfo tokenizer;  // computed from it
  };
  struct CheckpointFile {
    std::string path, sha256;
    std::optional<double> steps_seconds;
  };
  std::optional<PackedFile> artifact;
  std::vector<std::string>
      shard_paths;  // hashes and tokens, in order; with a byte table also the bytes of every record
  std::optional<Model>
      tokenizer;  // its byte table counts, not the artifact's, which has to be equal
  std::string receipt_path;
  // What only a receipt tells of.
  std::optional<std::vector<CodeFile>> code;
  std::optional<PackingFacts> packing;
  std::optional<CheckpointFile> checkpoint;
};

struct AuditReport {
  struct Score {
    size_t line = 0;                         // of the log, from 0
    uint64_t first_window = 0, windows = 0;  // of the schedule
    double nll_nats = 0;
  };

  std::string artifact_sha256, head_sha256, protocol;
  uint64_t targets = 0;  // of the stream
  // Scores beyond the first of a target, and targets without one; never under the protocol "once".
  uint64_t repeated = 0, left_out = 0;
  // Tokens of the shards, and those of them that the run used.
  uint64_t shard_tokens = 0, used_tokens = 0;
  bool limited = false;  // to a part of the text, by --limit-tokens
  uint64_t chunks = 0;   // of test-time training; 0 without
  uint64_t bytes = 0, count = 0, score_records = 0, train_records = 0, updates = 0;
  double nll_nats = 0, loss_nats = 0, bits_per_byte = 0;
  bool bytes_recounted = false, tokenizer_checked = false, receipt_checked = false;
  std::vector<Score> before_training;  // the score records before the first update

  bool one_pass() const { return protocol == "once"; }
};

// kBadData: "FILE, line N: what is wrong". kIo if something cannot be read.
Result<AuditReport> VerifyAudit(const std::string& log_path, const AuditEvidence& evidence = {});
// The same of a log in memory; `name` is what messages call it.
Result<AuditReport> VerifyAuditText(std::string_view log, const std::string& name,
                                    const AuditEvidence& evidence = {});

// The text of a log; a file longer than any log is refused.
Result<std::string> ReadAuditLog(const std::string& path);

}  // namespace golf
