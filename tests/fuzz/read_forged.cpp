// For the fuzz build (Clang, ASan + UBSan): reads forged artifacts as golf-inspect, golf-run and golf-pack --check do, up to
// the first kernel. Prints how many there were and how many were accepted; a finding aborts.
//   golf_fuzz_forged [COUNT]
#include <cstdio>
#include <string>

#include "artifact/budget.h"
#include "artifact/size_report.h"
#include "kernels/base/numbers.h"
#include "runtime/packed_network.h"
#include "runtime/plan.h"
#include "runtime/weights.h"
#include "tests/fuzz/forged_artifacts.h"
#include "tests/fuzz/memory_file.h"

namespace golf::test {
namespace {

size_t SomeScratch(AttentionDims d) { return d.B * d.T * (d.H + d.K) * d.D; }

// Whether it was accepted.
bool Read(const std::string& path) {
  const auto packed = ReadPackedNetwork(path);
  if (!packed.ok()) return false;
  const Artifact& artifact = packed->artifact;
  GOLF_CHECK(TensorSet::From(*packed->program, artifact.tensors()).ok());
  const SizeReport report = MakeSizeReport(artifact);
  GOLF_CHECK(report.tensors.size() == artifact.table().size());
  (void)Budget{artifact.file_bytes(), {}, 16'000'000}.Check();
  ExecutorOptions options;
  options.batch = 2;
  options.length = packed->program->window;
  options.scored_rows = 1;
  options.mode = Mode::kScore;
  (void)MakePlan(*packed->program, options, SomeScratch);
  return true;
}

int Main(size_t count) {
  MemoryFile file;
  file.Set(HonestArtifact());
  GOLF_CHECK(Read(file.path()));
  size_t accepted = 0;
  for (const ForgedArtifact& forged : ForgeArtifacts(count)) {
    file.Set(forged.file);
    accepted += Read(file.path());
  }
  std::printf("%zu forged artifacts, %zu of them accepted\n", count, accepted);
  return 0;
}

}  // namespace
}  // namespace golf::test

int main(int argc, char** argv) {
  return golf::test::Main(argc > 1 ? golf::ParseCount(argv[1]).value_or(0) : 200);
}
