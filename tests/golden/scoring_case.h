// What the golden cases of whole evaluations have in common: network, stream, byte table, and a record of what was scored.
#pragma once
#include <memory>
#include <vector>

#include "artifact/byte_table.h"
#include "kernels/table.h"
#include "runtime/evaluate.h"
#include "schemas/program_generated.h"
#include "tests/golden/kinds.h"

namespace golf::test {

// Every scored target in order, and the windows, as the references record them.
struct ScoreRecorder : EvalObserver {
  std::vector<float> nll;
  std::vector<int32_t> position;  // of the target's token in the stream: target + 1
  std::vector<int32_t> bytes;
  std::vector<int32_t> chunk_of;
  std::vector<int32_t> windows;   // chunk, start, first scored offset, length of each
  std::vector<ScoreSums> chunks;  // sums of each chunk alone

  Status Scored(const ScoredWindow& scored) override;
};

struct ScoringCase {
  explicit ScoringCase(const GoldenCase& c);
  ExecutorFactory Factory() const { return ExecutorsOf(*kernels, *program, weights); }

  size_t window;
  std::unique_ptr<schema::ProgramT> program;
  TensorSet weights;
  TokenStream stream;
  ByteTable byte_table;
  const KernelTable* kernels;
};

}  // namespace golf::test
