// The training step of test-time training: the one place of the scorer that may change weights.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/eval_steps.h"
#include "runtime/plan_cache.h"
#include "runtime/process_group.h"
#include "runtime/token_stream.h"
#include "runtime/ttt_options.h"
#include "runtime/weights.h"

namespace golf {

struct KernelTable;

// One optimizer update.
struct TrainUpdate {
  double loss_nats;      // mean NLL of its batch, before the update
  double gradient_norm;  // over all trained weights, before clipping
};

class TttTrainer {
 public:
  // `factory` makes executors of `weights`; both are kept. The processes of `group`, which is kept too, share
  // the sequences of each update. kUsage for options out of range or rules without effect.
  static Result<TttTrainer> Create(const KernelTable& kernels, ExecutorFactory factory,
                                   TensorSet& weights, const TttOptions& options,
                                   size_t window_length, Precision precision,
                                   ProcessGroup& group = OneProcess());

  // options.epochs times over the whole windows of step's targets, in order, options.batch_sequences per
  // update; the gradient of an update is that of the mean over its batch, whatever the number of passes it
  // takes. Optimizer state lives on from call to call. on_update is called after each update; a Status that
  // is not ok ends the training with it. kBadNumbers names chunk and update. kBadData if the processes' weights differ
  // afterwards.
  using OnUpdate = std::function<Status(const TrainUpdate&)>;
  Status Train(const TokenStream& stream, const EvalStep& step, const OnUpdate& on_update);

  // Names of the weights that are trained, in program order.
  std::vector<std::string> TrainedNames() const;
  const TensorSet& weights() const { return *weights_; }
  size_t window_length() const { return length_; }

 private:
  TttTrainer(const KernelTable& kernels, ExecutorFactory factory, TensorSet& weights,
             const TttOptions& options, size_t window_length, Precision precision,
             std::vector<bool> trainable, ProcessGroup& group);

  Result<double> Gradient(const TokenStream& stream, size_t first_target, size_t sequences);
  double GradientNorm() const;
  void Update(double lr, double gradient_norm);

  const KernelTable* kernels_;
  ProcessGroup* group_;
  TensorSet* weights_;
  TttOptions options_;
  size_t length_, micro_batch_;
  std::vector<bool> trainable_, bf16_;  // per weight
  PlanCache plans_;
  TensorSet gradients_, first_moment_, second_moment_;  // SGD: the first is the momentum buffer
  long updates_ = 0;
  std::vector<int32_t> ids_, targets_;  // (B, T)
};

}  // namespace golf
