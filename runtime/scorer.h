// Scores windows: NLL per target in nats, from the weights as they are. Nothing here can change a weight.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "artifact/byte_table.h"
#include "kernels/base/status.h"
#include "runtime/plan_cache.h"
#include "runtime/process_group.h"
#include "runtime/token_stream.h"
#include "runtime/windows.h"

namespace golf {

// Sums over scored targets, added in scoring order in fp64, so that they depend neither on batches nor on threads.
struct ScoreSums {
  double nll_nats = 0;
  uint64_t bytes = 0;
  uint64_t targets = 0;

  void Add(float nll, uint32_t target_bytes) {
    nll_nats += static_cast<double>(nll);
    bytes += target_bytes;
    ++targets;
  }
  double loss_nats() const;      // mean NLL per target
  double bits_per_byte() const;  // nll / ln 2 / bytes; 0 as long as there are no bytes
};

// kBadData if no target of the text has a byte, for such a text has no bits per byte.
Status CheckHasBytes(const TokenStream& text, const ByteTable& byte_table);

struct ScorerOptions {
  WindowRule rule;  // the windows given to Score() come from MakeWindows(rule, ...)
  size_t batch = 32;
  Precision precision = Precision::kFp32;
  size_t targets = SIZE_MAX;  // of the longest stream that is scored: passes need not be longer
  const std::atomic<bool>* stop = nullptr;  // once it is true Score gives kInterrupted; may be null
};

class WindowScorer {
 public:
  // The processes of `group`, which is kept, share each pass.
  WindowScorer(ExecutorFactory factory, const ScorerOptions& options,
               ProcessGroup& group = OneProcess());

  // The most windows that one pass takes: `batch` for each process.
  size_t MaxBatch() const { return options_.batch * group_->size(); }
  // Windows that one pass takes: the next of the same shape, MaxBatch() at most.
  size_t NextBatch(std::span<const Window> windows) const;
  // Scores one pass of windows (a prefix as NextBatch says). nll: the scored targets of all of them, in order, in every
  // process. kBadNumbers names the first target whose NLL is not finite.
  Status Score(const TokenStream& stream, std::span<const Window> windows, std::vector<float>& nll);
  // What the target `offset` places behind the first that `window` scores would have scored with each token of the
  // vocabulary in its place (Executor::ScoreEveryTarget). Only for windows of the latest Score, and of this process's share
  // of them. nll (V).
  void ScoreEveryTarget(const Window& window, size_t offset, std::span<float> nll) const;
  // The weights behind the factory's executors changed.
  void WeightsChanged() { plans_.WeightsChanged(); }

 private:
  size_t RowsOf(const Window& window) const;
  Status ScoreShare(const TokenStream& stream, std::span<const Window> windows);

  ScorerOptions options_;
  WindowRule rows_;  // options_.rule as far as the stream fills it: rows that a pass computes
  ProcessGroup* group_;
  PlanCache plans_;
  Executor* executor_ = nullptr;        // of the latest pass
  std::vector<Window> scored_;          // by it
  std::vector<float> scored_nll_;       // their targets
  std::vector<int32_t> ids_, targets_;  // (B, T), (B, Q)
  std::vector<uint32_t> first_row_;     // (B)
  std::vector<float> rows_nll_;         // (B, Q)
};

}  // namespace golf
