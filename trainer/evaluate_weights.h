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
  // SentencePiece model, for bits per byte; empty: the checkpoint's, else tokenizer.model beside the first shard, if there
  // is one.
  std::string tokenizer;
};

struct EvaluatedWeights {
  std::string recipe;              // name
  std::string weights;             // "ema", "raw", "swa" or "safetensors"
  uint64_t parameters = 0;
  std::string tokenizer;              // the file that it came from; empty: none
  std::vector<std::string> warnings;  // sentences, on tensors and files that were not taken as they stood
  ValidationResult result;
};

// kUsage for flags that do not go together and for a checkpoint of another network than the recipe's; kBadData names the
// weights that are missing, too many or of another shape, a shard that the checkpoint was trained
// on, and a dataset.json that names another tokenizer. `proceed` as in Validate(). The
// processes of `group` share the windows.
Result<EvaluatedWeights> EvaluateWeights(const KernelTable& kernels,
                                         const EvaluationOptions& options,
                                         const std::function<bool()>& proceed,
                                         ProcessGroup& group = OneProcess());

}  // namespace golf
