// golf-run --check: runs the checks of runtime/checks.h and says what they found.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "runtime/checks.h"
#include "runtime/run_facts.h"
#include "tools/cli.h"

namespace golf {

struct CheckFlags {
  std::vector<std::string> names;  // of checks, or "all"; none: no check is wanted
  size_t samples = 8;
};

// --check and --check-samples.
void AddCheckFlags(CLI::App& app, CheckFlags& flags);

// Prints a line per check, or one JSON object. kBadData if one of them fails.
Status RunChecks(const CheckFlags& flags, const OutputFlags& output, const RunFacts& facts,
                 const CheckSubject& subject);

}  // namespace golf
