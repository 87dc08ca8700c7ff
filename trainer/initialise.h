// Initial weights, as the references choose them: (semi-)orthogonal linear layers, zero output projections, small normal
// tables, neutral gains and gates. Every value passes through bfloat16 once.
//
// Each tensor draws from its own Philox stream, keyed by its name: adding a tensor changes no other. PyTorch's random
// stream is not reproduced; import a safetensors file (--init) to start where a reference run started.
#pragma once
#include <cstdint>

#include "runtime/weights.h"
#include "trainer/network.h"

namespace golf {

// `program` comes from BuildNetwork(config).
TensorSet InitialWeights(const NetworkConfig& config, const schema::ProgramT& program,
                         uint64_t seed);

}  // namespace golf
