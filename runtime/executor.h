// Runs a program: plan once per (program, batch, length, mode), then execute without allocating.
//
//   score   forward; NLL of the wanted rows only (rows nobody scores cost nothing past the last keys and values)
//   train   forward and backward; values that lead to no trainable weight get no backward
//   observe forward; every Linear's input goes to a callback (GPTQ Hessians, statistics)
//
// The three share one forward, so what is trained is what is scored.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/weights.h"

namespace golf {

struct KernelTable;

enum class Mode { kScore, kTrain, kObserve };
enum class Precision {
  kFp32,
  kBf16
};  // of activations and GEMM inputs; accumulation, softmax and losses are fp32

struct ExecutorOptions {
  Mode mode = Mode::kScore;
  Precision precision = Precision::kFp32;
  size_t batch = 1;                  // windows, B
  size_t length = 0;                 // tokens per window, T; 0: the program's window
  size_t rope_length = 0;            // of the window that rotary tables are made for; 0: length
  size_t scored_rows = 0;            // score: rows per window whose NLL is wanted, Q <= T; 0: all
  std::vector<bool> trainable = {};  // train: per weight; empty: all
  // train: > 0: the gradient is that of the focal loss, the mean of (1 - p)^focal_gamma nll, p = exp(-nll) (PR 1233: 2)
  double focal_gamma = 0;
  // Looked at between the steps of a pass (null: never). Once it is true passes end early, and what they give means nothing.
  const std::atomic<bool>* stop = nullptr;
};

// Fake quantisation of Linear weights (schema Linear.fake_quant) in forward and backward: per row
// s = max(quantile of |w| / divisor, 1 / divisor), w' = clamp(round(w / s), lowest, highest) * s. PR 598: 31, -32, 31.
// The gradient goes straight through, or with sharpness > 0 through soft rounding: kernels/fake_quantise.h.
struct FakeQuant {
  float divisor = 31, lowest = -32, highest = 31;
  float quantile = 1, sharpness = 0;
  bool operator==(const FakeQuant&) const = default;
};

class Executor {
 public:
  // The program has passed CheckProgram. Keeps references to all three.
  static Result<std::unique_ptr<Executor>> Create(const KernelTable& kernels,
                                                  const schema::ProgramT& program,
                                                  const TensorSet& weights,
                                                  const ExecutorOptions& options);
  virtual ~Executor() = default;

  // Must be called after the weights changed and before the next pass (casts or fake-quantises the GEMM copies).
  virtual void WeightsChanged(std::optional<FakeQuant> fake_quant = std::nullopt) = 0;

  // After the last Train since WeightsChanged, where that was given soft rounding: the gradients with respect to what the
  // passes read become gradients with respect to the weights. Straight through there is nothing to do.
  virtual void BackThroughFakeQuant(TensorSet& /*gradients*/) const {}

  // Score. ids (B, T); first_row (B): position of a window's first wanted row, its Q rows follow;
  // targets, nll (B, Q): the token after each wanted row and its NLL in nats. ids and targets lie in [0, vocab).
  virtual void Score(std::span<const int32_t> ids, std::span<const uint32_t> first_row,
                     std::span<const int32_t> targets, std::span<float> nll) = 0;

  // After Score: what wanted row `row` (b * Q + q) of that pass scores with each token of the vocabulary as its target,
  // by the same kernel from the same logits; minus these are the row's log-probabilities. nll (V).
  virtual void ScoreEveryTarget(size_t row, std::span<float> nll) const = 0;

  // Train. ids, targets (B, T). Adds the gradient of `loss_scale * mean NLL` (or focal loss) to `gradients` (same layout as
  // the weights; weights that are not trainable are left alone). Returns the mean NLL of the batch in nats (fp64 sum).
  virtual double Train(std::span<const int32_t> ids, std::span<const int32_t> targets,
                       float loss_scale, TensorSet& gradients) = 0;

  // Observe. For each Linear step: its weight index and its inputs (rows, width) as fp32.
  using Observer =
      std::function<void(size_t weight, size_t rows, size_t width, const float* inputs)>;
  virtual void Observe(std::span<const int32_t> ids, const Observer& observer) = 0;

  // A named value after a pass, as fp32 (train mode keeps all values that backward needs; others may be overwritten,
  // unless the executor was created with kObserve, which keeps every value). For tests and inspection.
  virtual Result<std::vector<float>> ReadValue(std::string_view name) const = 0;

  virtual size_t arena_bytes()
      const = 0;  // known before the first pass; weights' GEMM copies included
  virtual std::string PlanTable()
      const = 0;  // name, shape, type, offset, bytes, lifetime: one line each
};

}  // namespace golf
