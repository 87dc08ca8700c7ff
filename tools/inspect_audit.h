// golf-inspect verify: is an audit log that of a legal evaluation, and of these files?
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "tools/cli.h"

namespace golf {

struct InspectAuditFlags {
  std::string log, artifact, receipt;
  std::vector<std::string> shards;
  OutputFlags output;
};

// The subcommand; InspectAudit is for when it was parsed.
CLI::App* AddInspectAudit(CLI::App& app, InspectAuditFlags& flags);

// kBadData names the first record that is wrong.
Status InspectAudit(const InspectAuditFlags& flags);

}  // namespace golf
