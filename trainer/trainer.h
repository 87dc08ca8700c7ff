// Trains one network: forward and backward over micro-batches, clip, optimizer step, average, late QAT.
// Knows no files, recipes or clocks; a step is a pure function of its state, its tokens and the time it is told.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/executor.h"
#include "runtime/process_group.h"
#include "runtime/weights.h"
#include "trainer/optimizer.h"
#include "trainer/settings.h"

namespace golf {

struct KernelTable;

struct StepReport {
  uint64_t step = 0;     // 0-based
  double loss_nats = 0;  // mean NLL of the step's tokens, before the update
  double grad_norm = 0;  // global 2-norm before clipping
  double lr_factor = 0;  // the schedule's factor on every lr
  double muon_momentum = 0;
  bool late_qat = false;  // switched on, in this step or before
};

class Trainer {
 public:
  // `weights` are the initial ones; the program has passed CheckProgram, the settings CheckTrainSettings. Keeps
  // references to `kernels`, `program` and `group`, whose processes share the micro-batches of each step, and to `stop`
  // (may be null): once it is true, a step is abandoned in the middle of its pass.
  static Result<std::unique_ptr<Trainer>> Create(const KernelTable& kernels,
                                                 const schema::ProgramT& program, TensorSet weights,
                                                 const TrainSettings& settings, Precision precision,
                                                 ProcessGroup& group = OneProcess(),
                                                 const std::atomic<bool>* stop = nullptr);

  // One optimizer step over ids and targets (windows, T), settings.batch.tokens of each, the same in every process.
  // elapsed_ms: training time before this step, for wall-clock schedules. `proceed`, if given, is asked before each
  // micro-batch with the windows done, by all processes about; false, from one of them, abandons the step. kBadNumbers names step and tensor of a NaN or infinity. After any failure the trainer
  // is as before the step.
  using Proceed = std::function<bool(size_t windows_done)>;
  Result<StepReport> Step(std::span<const int32_t> ids, std::span<const int32_t> targets,
                          double elapsed_ms, const Proceed& proceed = {});
  // Counts a step without taking it: its tokens are passed over.
  void SkipStep() { ++step_; }

  uint64_t step() const { return step_; }
  const TensorSet& weights() const { return weights_; }
  // The average, or the weights where none is kept.
  const TensorSet& averaged() const { return settings_.ema_decay > 0 ? ema_ : weights_; }
  // The mean of the snapshots so far; has no tensors before the first.
  const TensorSet& swa() const { return swa_; }
  const TensorSet& gradients() const { return gradients_; }  // of the last step, clipped
  const Optimizer& optimizer() const { return optimizer_; }
  const Executor& executor() const { return *executor_; }
  // Weights, gradients, average, moments, the optimizer's scratch and all that the executor has.
  size_t memory_bytes() const;

  // Everything that the next steps depend on besides the tokens. Views borrow from the trainer.
  struct State {
    uint64_t step = 0, optimizer_steps = 0;
    bool late_qat = false;
    uint64_t swa_snapshots = 0;
    // ema is empty where none is kept, swa before its first snapshot
    std::vector<TensorView> weights, ema, swa, stale_gradients;
    std::vector<TensorView> optimizer[std::size(Optimizer::kSlots)];
  };
  State state() const;
  // kBadData if names or shapes differ from what this network and these groups need; the trainer is then not usable.
  Status Load(const State& state);

 private:
  Trainer(const KernelTable& kernels, const schema::ProgramT& program, TensorSet weights,
          const TrainSettings& settings, std::vector<WeightUpdate> updates, Precision precision,
          ProcessGroup& group, const std::atomic<bool>* stop);
  Result<double> Gradients(std::span<const int32_t> ids, std::span<const int32_t> targets,
                           const Proceed& proceed);
  std::vector<double> AddMyGradients(std::span<const int32_t> ids, std::span<const int32_t> targets,
                                     const Proceed& proceed);
  Result<double> GradientNorm() const;
  void AddSnapshot();

  const KernelTable& kernels_;
  ProcessGroup& group_;
  const std::atomic<bool>* const stop_;
  const size_t window_;  // tokens, T
  TrainSettings settings_;
  TensorSet weights_, gradients_, ema_, swa_;
  Optimizer optimizer_;
  std::vector<std::vector<float>> stale_gradients_;  // per weight; empty where there is none
  std::unique_ptr<Executor> executor_;
  uint64_t step_ = 0, swa_snapshots_ = 0;
  bool late_qat_ = false;
};

}  // namespace golf
