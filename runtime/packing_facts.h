// How an artifact came about, as golf-pack --json tells.
#pragma once
#include <optional>
#include <string>

#include "kernels/base/status.h"

namespace golf {

struct PackingFacts {
  std::string path;                     // of the file that tells it
  std::string artifact_sha256;          // of the file that golf-pack wrote
  std::string input_sha256;             // of the checkpoint or safetensors that it packed
  std::optional<double> steps_seconds;  // of training; safetensors do not tell
  double calibration_seconds = 0, packing_seconds = 0;

  double train_seconds() const { return steps_seconds.value_or(0) + calibration_seconds; }
};

// kBadData if the file is not what golf-pack --json prints, or has a hash that is none or seconds that are not finite and 0
// or more. kIo if it cannot be read.
Result<PackingFacts> ReadPackingFacts(const std::string& path);

}  // namespace golf
