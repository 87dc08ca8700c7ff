#include "runtime/eval_steps.h"

#include <fmt/format.h>

#include <algorithm>

namespace golf {

std::vector<EvalStep> ScoreOnly(const WindowList& windows) {
  return {{EvalStep::Kind::kScore, 0, windows.size(), 0, 0}};
}

std::vector<EvalStep> ScoreFirst(const WindowList& windows, size_t targets, size_t window_length,
                                 const TttOptions& options) {
  const size_t chunk_size = options.chunk_tokens;
  const size_t chunks = (targets + chunk_size - 1) / chunk_size;
  std::vector<EvalStep> steps;
  size_t scored = 0;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    size_t end = scored;
    while (end < windows.size() && (windows[end].first_target() / chunk_size <= chunk)) ++end;
    if (end > scored) steps.push_back({EvalStep::Kind::kScore, scored, end, chunk, 0});
    scored = end;
    const size_t first = chunk * chunk_size;
    const size_t whole = std::min(chunk_size, targets - first) / window_length * window_length;
    if (scored == windows.size()) break;
    if (whole > 0) {
      steps.push_back({EvalStep::Kind::kTrain, first, first + whole, chunk,
                       options.lr * LrFactor(options.schedule, chunk, chunks)});
    }
  }
  return steps;
}

Status CheckScoreFirst(std::span<const EvalStep> steps, const WindowList& windows) {
  size_t next_window = 0, scored = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const EvalStep& step = steps[i];
    const auto broken = [&](std::string_view what) {
      return Status(
          Code::kInternal,
          fmt::format("step {} ({} [{}, {})) {}", i,
                      step.kind == EvalStep::Kind::kScore ? "score windows" : "train targets",
                      step.begin, step.end, what));
    };
    if (step.begin >= step.end) return broken("is empty");
    if (step.kind == EvalStep::Kind::kTrain) {
      if (step.end > scored) return broken("trains on targets that are not scored yet");
      if (next_window == windows.size()) return broken("trains although nothing is left to score");
      continue;
    }
    if (step.begin != next_window || step.end > windows.size())
      return broken("leaves the windows' order");
    for (size_t w = step.begin; w < step.end; ++w) {
      if (windows[w].first_target() > scored) return broken("skips targets");
      scored = std::max(scored, windows[w].end_target());
    }
    next_window = step.end;
  }
  if (next_window != windows.size()) {
    return {Code::kInternal,
            fmt::format("only {} of {} windows are scored", next_window, windows.size())};
  }
  return {};
}

}  // namespace golf
