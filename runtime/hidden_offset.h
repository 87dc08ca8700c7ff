// A vector added to the last hidden state, which test-time training can learn (SLOT, PR 1236): logits = (h + delta) W^T.
// It is a weight of the program like any other, zero at first, so that what is legal for weights is legal for it: it is
// trained on a chunk only after that was scored. The published form fitted it to the targets that it then scored.
#pragma once
#include <string_view>

#include "kernels/base/status.h"
#include "runtime/weights.h"

namespace golf {

inline constexpr std::string_view kHiddenOffset = "slot.delta";  // the weight (C)

// Puts the addition in front of the logits and appends the weight. The program has passed CheckProgram, `weights` are its own.
// Scores stay the same bits until the offset is trained. Errors as CheckProgram, where the program has such a weight.
Status AddHiddenOffset(schema::ProgramT& program, TensorSet& weights);

}  // namespace golf
