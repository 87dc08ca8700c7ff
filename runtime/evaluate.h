// Runs a list of score and train steps over a stream and tells observers (audit log, progress, tests) what happened.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "artifact/byte_table.h"
#include "kernels/base/status.h"
#include "runtime/eval_steps.h"
#include "runtime/scorer.h"
#include "runtime/token_stream.h"
#include "runtime/ttt_trainer.h"

namespace golf {

// One window's scores; spans are valid during the call only.
struct ScoredWindow {
  const Window& window;
  size_t chunk;
  std::span<const float> nll;       // nats per scored target, in order
  std::span<const uint32_t> bytes;  // of the same targets
  const ScoreSums& sums;            // of everything scored so far, this window included
};

// One chunk's training, after its last update.
struct TrainedChunk {
  const EvalStep& step;
  std::span<const TrainUpdate> updates;
  const TensorSet& weights;
};

// A Status that is not ok ends the evaluation with it.
class EvalObserver {
 public:
  virtual ~EvalObserver() = default;
  virtual Status Scored(const ScoredWindow&) { return {}; }
  virtual Status Updated(const TrainUpdate&) { return {}; }  // while a chunk is trained on
  virtual Status Trained(const TrainedChunk&) { return {}; }
};

struct Evaluation {
  const TokenStream& stream;
  const ByteTable& byte_table;
  WindowList windows;
  std::span<const EvalStep> steps;  // refused (kInternal) unless CheckScoreFirst passes
};

// `trainer` may be null where no step trains. Its executors and the scorer's run on the same weights. kBadData for a text
// of no bytes.
Result<ScoreSums> Evaluate(const Evaluation& evaluation, WindowScorer& scorer, TttTrainer* trainer,
                           std::span<EvalObserver* const> observers);

}  // namespace golf
