// golf-run's limits: bytes of artifact and code, seconds of evaluation.
#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/receipt.h"

namespace golf {

struct LimitFlags {
  std::vector<std::string> code;
  std::optional<uint64_t> max_bytes;
  std::optional<double> max_eval_seconds;
};

// --code, --max-bytes, --max-eval-seconds.
void AddLimitFlags(CLI::App& app, LimitFlags& flags);

// Measures the files of code. kIo if one cannot be read, kOverBudget if they and the artifact are too large.
Result<Limits> MeasureLimits(const LimitFlags& flags, uint64_t artifact_bytes);

}  // namespace golf
