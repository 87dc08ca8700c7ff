// Evaluation only: a plain validation pass over the weights of a checkpoint or a safetensors file. Nothing is trained and
// nothing written. The file must hold exactly the weights of the network, each with its shape, and no other.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "trainer/validate.h"

namespace golf {

struct KernelTable;

struct EvaluationOptions {
  std::string path;     // a checkpoint or safetensors, told apart by content
  std::string weights;  // checkpoint: "ema", "raw" or "swa"; empty: ema where there is one
  std::string recipe;   // name or file; may be empty for a checkpoint: its own then
  std::vector<std::string> overrides;   // of the recipe, "key=value"
  std::vector<std::string> validation;  // shard files, folders or globs
  std::string
      tokenizer;  // SentencePiece model, for bits per byte; may be empty where a checkpoint carries its own
};

struct EvaluatedWeights {
  std::string recipe;              // name
  std::string weights;             // "ema", "raw", "swa" or "safetensors"
  std::vector<std::string> notes;  // on tensors that were not taken as they stood in the file
  uint64_t parameters = 0;
  ValidationResult result;
};

// kUsage for flags that do not go together and for a checkpoint of another network than the recipe's; kBadData names the
// weights that are missing, too many or of another shape. `proceed` as in Validate(). The
// processes of `group` share the windows.
Result<EvaluatedWeights> EvaluateWeights(const KernelTable& kernels,
                                         const EvaluationOptions& options,
                                         const std::function<bool()>& proceed,
                                         ProcessGroup& group = OneProcess());

}  // namespace golf
