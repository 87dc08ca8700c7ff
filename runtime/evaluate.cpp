#include "runtime/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kernels/base/check.h"

namespace golf {
namespace {

class Run {
 public:
  Run(const Evaluation& evaluation, WindowScorer& scorer, TttTrainer* trainer,
      std::span<EvalObserver* const> observers)
      : evaluation_(evaluation), scorer_(scorer), trainer_(trainer), observers_(observers) {}

  Status Score(const EvalStep& step) {
    for (size_t done = step.begin; done < step.end;) {
      const std::vector<Window> next =
          evaluation_.windows.Slice(done, std::min(step.end, done + scorer_.MaxBatch()));
      const auto batch = std::span(next).first(scorer_.NextBatch(next));
      if (Status s = scorer_.Score(evaluation_.stream, batch, nll_); !s.ok()) {
        return {s.code(), fmt::format("scoring chunk {}: {}", step.chunk, s.message())};
      }
      size_t offset = 0;
      for (const Window& window : batch) {
        GOLF_TRY(Account(window, step.chunk, std::span(nll_).subspan(offset, window.count)));
        offset += window.count;
      }
      done += batch.size();
    }
    return {};
  }

  Status Train(const EvalStep& step) {
    GOLF_CHECK(trainer_ != nullptr);
    updates_.clear();
    const auto on_update = [this](const TrainUpdate& update) { return Updated(update); };
    GOLF_TRY(trainer_->Train(evaluation_.stream, step, on_update));
    scorer_.WeightsChanged();
    for (EvalObserver* observer : observers_)
      GOLF_TRY(observer->Trained({step, updates_, trainer_->weights()}));
    return {};
  }

  const ScoreSums& sums() const { return sums_; }

 private:
  Status Updated(const TrainUpdate& update) {
    updates_.push_back(update);
    for (EvalObserver* observer : observers_) GOLF_TRY(observer->Updated(update));
    return {};
  }

  Status Account(const Window& window, size_t chunk, std::span<const float> nll) {
    const auto tokens = evaluation_.stream.tokens().subspan(window.first_target());
    bytes_.resize(window.count);
    for (size_t i = 0; i < window.count; ++i) {
      bytes_[i] = evaluation_.byte_table.Count(tokens[i], tokens[i + 1]);
      sums_.Add(nll[i], bytes_[i]);
    }
    for (EvalObserver* observer : observers_)
      GOLF_TRY(observer->Scored({window, chunk, nll, bytes_, sums_}));
    return {};
  }

  const Evaluation& evaluation_;
  WindowScorer& scorer_;
  TttTrainer* trainer_;
  std::span<EvalObserver* const> observers_;
  ScoreSums sums_;
  std::vector<float> nll_;
  std::vector<uint32_t> bytes_;
  std::vector<TrainUpdate> updates_;
};

}  // namespace

Result<ScoreSums> Evaluate(const Evaluation& evaluation, WindowScorer& scorer, TttTrainer* trainer,
                           std::span<EvalObserver* const> observers) {
  GOLF_TRY(CheckScoreFirst(evaluation.steps, evaluation.windows));
  GOLF_TRY(CheckHasBytes(evaluation.stream, evaluation.byte_table));
  Run run(evaluation, scorer, trainer, observers);
  for (const EvalStep& step : evaluation.steps) {
    GOLF_TRY(step.kind == EvalStep::Kind::kScore ? run.Score(step) : run.Train(step));
  }
  return run.sums();
}

}  // namespace golf
