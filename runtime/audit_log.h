// The audit log: what was scored and what was trained on, in order, one JSON object per line, each line carrying the
// SHA-256 of the line before it. schemas/AUDIT.md defines the records; verify_audit.h is the independent reader.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "kernels/base/status.h"
#include "runtime/evaluate.h"
#include "runtime/run_facts.h"

namespace golf {

// Makes the records of an evaluation as it goes. Every record is taken before the next step of the evaluation starts.
class AuditRecords : public EvalObserver {
 public:
  Status Scored(const ScoredWindow& window) override;
  Status Trained(const TrainedChunk& chunk) override;
  // The end record with the totals of the score records.
  Status End();

  // Hash of the last line: after End() it stands for the whole log.
  const std::string& head_sha256() const { return head_; }

 protected:
  explicit AuditRecords(std::string artifact_sha256);
  Status Header(const RunFacts& facts);
  // Goes on behind a header that was written before.
  void StartBehind(const std::string& header_line);

 private:
  virtual Status Take(const std::string& line) = 0;  // without its line feed
  Status Write(nlohmann::ordered_json record);
  Status FlushScored();

  std::string head_;             // of the line before
  std::string weights_version_;  // of the weights as they are now
  // Neighbouring windows scored by the same weights share a record; the first window of all has its own.
  size_t begin_ = 0, end_ = 0;               // targets
  size_t first_start_ = 0, last_start_ = 0;  // of windows: their first token
  bool first_ = true;
  ScoreSums pending_;
  ScoreSums totals_;  // of the records written
};

// The records in a file. A run that ends early leaves a log without an end record.
class AuditLog final : public AuditRecords {
 public:
  // Creates the file and writes the header. One writer at a time: kBusy if another process writes this log. A file that
  // holds something is replaced only with `replace` (kUsage). kIo with path and reason.
  static Result<std::unique_ptr<AuditLog>> Create(const std::string& path, const RunFacts& facts,
                                                  bool replace = false);
  ~AuditLog() override;
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // The end record, and fsync.
  Status Finish();

 private:
  AuditLog(std::string path, int descriptor, std::string artifact_sha256);
  Status Lock(bool replace);
  Status Take(const std::string& line) override;
  Status Fault(const char* action) const;

  std::string path_;
  int descriptor_;
};

}  // namespace golf
