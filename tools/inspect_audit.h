// golf-inspect verify: is an audit log that of a legal evaluation, and of these files? With --rerun: are these its scores?
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/process_group.h"
#include "tools/cli.h"

namespace golf {

struct InspectAuditFlags {
  std::string log, artifact, receipt, tokenizer, packing, checkpoint;
  std::vector<std::string> shards, code;
  bool rerun = false;
  uint64_t rerun_sample = 0;
  int threads = 0;
  OutputFlags output;
};

// The subcommand; InspectAudit is for when it was parsed.
CLI::App* AddInspectAudit(CLI::App& app, InspectAuditFlags& flags);

// kBadData names the first record that is wrong.
Status InspectAudit(const InspectAuditFlags& flags, ProcessGroup& group);

}  // namespace golf
