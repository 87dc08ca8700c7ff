#include "runtime/packed_network.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "runtime/program.h"
#include "runtime/weights.h"

namespace golf {
namespace {

// A control piece stands for no byte of the text, whatever the file says.
Status CheckBoundaries(const ByteTable& table) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (table.boundary[i] != 0 && (table.bytes[i] != 0 || table.leading_space[i] != 0))
      return {Code::kBadData, fmt::format("a byte table that counts bytes for piece {}, which is a "
                                          "boundary and has none",
                                          i)};
  }
  return {};
}

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
  GOLF_TRY(CheckBoundaries(artifact.byte_table()));
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
