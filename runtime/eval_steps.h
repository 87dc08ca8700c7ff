// An evaluation as data: the order in which windows are scored and targets are trained on. The policies below write such
// lists, evaluate.h runs them, and whether a list is legal can be checked before anything is computed.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/ttt_options.h"
#include "runtime/windows.h"

namespace golf {

struct EvalStep {
  enum class Kind { kScore, kTrain };
  Kind kind = Kind::kScore;
  size_t begin = 0, end = 0;  // kScore: windows; kTrain: targets, a whole number of windows' worth
  size_t chunk = 0;           // for messages and logs
  double lr = 0;              // kTrain
};

// All windows in order, weights untouched.
std::vector<EvalStep> ScoreOnly(const WindowList& windows);

// Score-first test-time training. The stream is cut into chunks of options.chunk_tokens targets; a window belongs to the
// chunk of the first target it scores. For each chunk: score its windows, then train on the whole windows' worth of
// targets from its start. The last chunk is only scored, as is every one behind which no window is left.
std::vector<EvalStep> ScoreFirst(const WindowList& windows, size_t targets,
                                 size_t window_length, const TttOptions& options);

// The rules of legal adaptation: windows in order and each once; a target is trained on only after it was scored; nothing
// is trained after the last window. kInternal names the first step that breaks them.
Status CheckScoreFirst(std::span<const EvalStep> steps, const WindowList& windows);

}  // namespace golf
