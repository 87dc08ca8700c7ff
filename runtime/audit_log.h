// The audit log: what was scored and what was trained on, in order, one JSON object per line, each line carrying the
// SHA-256 of the line before it. schemas/AUDIT.md defines the records; verify_audit.h is the independent reader.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "kernels/base/status.h"
#include "runtime/evaluate.h"
#include "runtime/run_facts.h"

namespace golf {

// Writes as the evaluation goes; a run that ends early leaves a log without an end record. Every record is in the file
// before the next step of the evaluation starts.
class AuditLog : public EvalObserver {
 public:
  // Creates the file, replacing an older one, and writes the header. kIo with path and reason.
  static Result<std::unique_ptr<AuditLog>> Create(const std::string& path, const RunFacts& facts);
  ~AuditLog() override;
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  Status Scored(const ScoredWindow& window) override;
  Status Trained(const TrainedChunk& chunk) override;
  // The end record with the totals of the score records, and fsync.
  Status Finish();

  // Hash of the last line written: after Finish() it stands for the whole log.
  const std::string& head_sha256() const { return head_; }

 private:
  AuditLog(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  Status Write(nlohmann::ordered_json record);
  Status FlushScored();

  std::string path_;
  int descriptor_;
  std::string head_;             // of the line written last
  std::string weights_version_;  // of the weights as they are now
  // Neighbouring windows scored by the same weights share a record.
  size_t begin_ = 0, end_ = 0;  // targets
  ScoreSums pending_;
  ScoreSums totals_;  // of the records written
};

}  // namespace golf
