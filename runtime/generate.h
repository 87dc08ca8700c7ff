// Text that a network writes itself, token after token, with what attention and smear need of earlier tokens kept.
//
// Each token is computed by the kernels that score it, from the same numbers, so that its distribution has the bits that
// Executor::Score would have given. The first token of each window is uniform, the others are drawn from
// softmax(logits / temperature), logits after the softcap.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/calibrate.h"
#include "runtime/executor.h"
#include "runtime/weights.h"

namespace golf {

struct GenerateOptions {
  size_t windows = 1,
         length = 0;  // tokens of each window; at most the program's window makes sense
  size_t batch = 16;  // windows at once: speed and memory
  double temperature = 0.8;
  uint64_t seed = 42;
  Precision precision = Precision::kFp32;
};

// (windows, length). The same tokens for any batch and number of threads. kUsage for a network with an operation that
// reads other tokens in a way that is not known here.
Result<std::vector<int32_t>> Generate(const KernelTable& kernels, const schema::ProgramT& program,
                                      const TensorSet& weights, const GenerateOptions& options,
                                      const CalibrationProgress& progress = {});

}  // namespace golf
