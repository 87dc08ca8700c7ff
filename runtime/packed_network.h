// A packed artifact as a network that can run: read, with its program parsed and its tensors matched to the program's
// weights. What golf-run cannot run is refused here, before a tensor is decoded.
#pragma once
#include <memory>
#include <string>

#include "artifact/artifact.h"
#include "kernels/base/status.h"
#include "schemas/program_generated.h"

namespace golf {

struct PackedNetwork {
  Artifact artifact;
  std::unique_ptr<schema::ProgramT> program;
};

// kIo if the file cannot be read. kBadData, naming it, if it is no undamaged artifact, its program is not one that can run,
// the tensors are not exactly the program's weights, or the byte table is not of the program's vocabulary.
Result<PackedNetwork> ReadPackedNetwork(const std::string& path);

}  // namespace golf
