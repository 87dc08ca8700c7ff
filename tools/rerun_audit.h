// golf-inspect verify --rerun and --rerun-sample: the scores of an audit log, computed again.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "runtime/process_group.h"
#include "runtime/verify_audit.h"
#include "tools/cli.h"

namespace golf {

// A log that verifies, and what it tells of.
struct RerunSubject {
  const std::string& log;   // its text
  const std::string& name;  // for messages
  const AuditReport& report;
  const Artifact& artifact;
  const std::vector<std::string>& shard_paths;
};

// Runs the evaluation again as the header says and compares the log line by line. kBadData names the first line and field
// that differ; kNoDevice if this process has other kernels, kUsage if there are not as many processes as the header says
// and the result depends on it.
Status RerunAll(const RerunSubject& subject, const OutputFlags& output, ProcessGroup& group);

// Scores at least `windows` windows again with the packed weights: whole score records, chosen at random among those before
// the first update. Returns how many windows it scored.
Result<uint64_t> RerunSample(const RerunSubject& subject, uint64_t windows,
                             const OutputFlags& output, ProcessGroup& group);

}  // namespace golf
