// The Hessians that golf-pack's GPTQ works with: from a file, or from text that the network reads or writes now.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "artifact/hessians.h"
#include "kernels/base/status.h"
#include "runtime/executor.h"
#include "tools/cli.h"
#include "tools/pack_input.h"

namespace golf {

inline constexpr std::string_view kCalibrateSelf = "self";  // a value of --calibrate

struct HessianFlags {
  std::string file;       // of an earlier calibration
  std::string calibrate;  // token shards, or "self": text that the network generates
  size_t windows = 64;    // of calibration text
  uint64_t seed = 42;     // of generated text
  Precision precision = Precision::kFp32;
  std::string save;  // where to keep what was collected
};

void AddHessianFlags(CLI::App& app, HessianFlags& flags);

// Nothing where no flag asks for it; --save-hessians is left to the caller. kUsage for flags that do not go together, and for Hessians of another network.
Result<std::optional<HessianSet>> LoadHessians(const HessianFlags& flags, const PackInput& input,
                                               const OutputFlags& output);

}  // namespace golf
