#include "runtime/packed_network.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "runtime/program.h"
#include "runtime/weights.h"

namespace golf {
namespace {

// What can be decided from the description alone.
Result<std::unique_ptr<schema::ProgramT>> MatchDescription(const Artifact& artifact) {
  GOLF_ASSIGN(std::unique_ptr<schema::ProgramT> program, ParseProgram(artifact.program_bytes()));
  std::vector<TensorView> names;
  for (const ArtifactTensor& t : artifact.table()) names.push_back({t.name, t.shape, {}});
  GOLF_TRY(TensorSet::CheckTensors(*program, names));
  if (artifact.byte_table().size() != program->vocab_size) {
    return Status(Code::kBadData, fmt::format("a byte table of {} pieces, and a network of {}",
                                              artifact.byte_table().size(), program->vocab_size));
  }
  return program;
}

}  // namespace

Result<PackedNetwork> ReadPackedNetwork(const std::string& path) {
  std::unique_ptr<schema::ProgramT> program;
  const auto match = [&program](const Artifact& artifact) -> Status {
    GOLF_ASSIGN(program, MatchDescription(artifact));
    return {};
  };
  GOLF_ASSIGN(Artifact artifact, Artifact::Read(path, match));
  return PackedNetwork{std::move(artifact), std::move(program)};
}

}  // namespace golf
