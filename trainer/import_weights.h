// Weights from PyTorch: a safetensors file of the reference scripts' state_dict names -> the weights
// of a recipe's network.
#pragma once
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/weights.h"
#include "trainer/network.h"

namespace golf {

struct ImportedWeights {
  TensorSet weights;
  std::string sha256;  // of the file
  // What was not taken as it stood in the file, for the user to read.
  std::vector<std::string> notes;
};

// `program` is BuildNetwork(network). Not part of the network, and taken off or left out with a note:
//   a prefix that all names have ("module.", "_orig_mod.", "model.")
//   tensors without elements, and tensors of other types than floats, such as counters
//   "lm_head.weight" where it equals "tok_emb.weight" and the head is tied
//   "inference_temp", a divisor of the logits (PR 1004), where it is 1
// kBadData if the file is damaged or of another kind, or if its tensors are not the network's weights. Then the message
// lists all that are missing, too many or of another shape, and the values of the recipe that would fit them.
Result<ImportedWeights> ImportWeights(const std::string& path, const NetworkConfig& network,
                                      const schema::ProgramT& program);

}  // namespace golf
