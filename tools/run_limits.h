// golf-run's limits: bytes of artifact and code, seconds of evaluation.
#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "runtime/receipt.h"
#include "tools/time_limit.h"

namespace golf {

struct LimitFlags {
  std::vector<std::string> code;
  std::optional<uint64_t> max_bytes;
  std::optional<double> max_eval_seconds, max_train_seconds;
  OverTime over_time = OverTime::kFail;
  std::string packing;  // what golf-pack --json printed
};

// --code, --max-bytes, --max-eval-seconds, --packing, --max-train-seconds, --over-time.
void AddLimitFlags(CLI::App& app, LimitFlags& flags);

// Measures the files of code and reads how the artifact was made. kIo if a file cannot be read, kBadData if golf-pack told of
// another artifact, kOverBudget if code and artifact are too large or training took too long and that is to fail.
Result<Limits> MeasureLimits(const LimitFlags& flags, const Artifact& artifact);

}  // namespace golf
