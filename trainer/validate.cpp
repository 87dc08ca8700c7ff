#include "trainer/validate.h"

#include <algorithm>
#include <span>
#include <vector>

#include "runtime/scorer.h"
#include "schemas/program_generated.h"

namespace golf {

Result<ValidationResult> Validate(const ValidationPass& pass, const TensorSet& weights,
                                  const std::function<bool()>& proceed) {
  if (pass.byte_table != nullptr) GOLF_TRY(CheckHasBytes(pass.stream, *pass.byte_table));
  const size_t window = pass.program.window;
  ScorerOptions options;
  options.rule = {window, window, Tail::kOnce};
  options.batch = std::min<size_t>(pass.batch_windows, pass.stream.targets() / window);
  options.precision = pass.precision;
  options.stop = pass.stop;
  const auto factory = [&](const ExecutorOptions& executor) {
    return Executor::Create(pass.kernels, pass.program, weights, executor);
  };
  WindowScorer scorer(factory, options, pass.group);
  GOLF_ASSIGN(const WindowList windows, MakeWindows(options.rule, pass.stream.targets()));

  ScoreSums sums;
  std::vector<float> nll;
  const std::span<const uint16_t> tokens = pass.stream.tokens();
  for (size_t done = 0; done < windows.size();) {
    GOLF_ASSIGN(const bool go_on, pass.group.ForAll(proceed()));
    if (!go_on) return Status(Code::kInterrupted, "validation was abandoned");
    const std::vector<Window> next =
        windows.Slice(done, std::min(windows.size(), done + scorer.MaxBatch()));
    const auto batch = std::span(next).first(scorer.NextBatch(next));
    GOLF_TRY(scorer.Score(pass.stream, batch, nll));
    size_t i = 0;
    for (const Window& w : batch) {
      for (size_t t = w.first_target(); t < w.end_target(); ++t) {
        sums.Add(nll[i++], pass.byte_table ? pass.byte_table->Count(tokens[t], tokens[t + 1]) : 0);
      }
    }
    done += batch.size();
  }
  ValidationResult result;
  result.loss_nats = sums.loss_nats();
  result.targets = sums.targets;
  if (pass.byte_table) result.bits_per_byte = sums.bits_per_byte();
  return result;
}

}  // namespace golf
