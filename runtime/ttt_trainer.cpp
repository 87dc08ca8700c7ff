#include "runtime/ttt_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/bf16.h"
#include "kernels/table.h"
#include "runtime/micro_batch.h"

namespace golf {
namespace {

ExecutorOptions TrainOptions(size_t batch, size_t length, Precision precision,
                             std::vector<bool> trainable) {
  ExecutorOptions options;
  options.mode = Mode::kTrain;
  options.precision = precision;
  options.batch = batch;
  options.length = length;
  options.trainable = std::move(trainable);
  return options;
}

}  // namespace

Result<TttTrainer> TttTrainer::Create(const KernelTable& kernels, ExecutorFactory factory,
                                      TensorSet& weights, const TttOptions& options,
                                      size_t window_length, Precision precision,
                                      ProcessGroup& group) {
  GOLF_TRY(CheckTttOptions(options, window_length));
  GOLF_ASSIGN(std::vector<bool> trainable, SelectTrainable(options.trainable, weights));
  return TttTrainer(kernels, std::move(factory), weights, options, window_length, precision,
                    std::move(trainable), group);
}

TttTrainer::TttTrainer(const KernelTable& kernels, ExecutorFactory factory, TensorSet& weights,
                       const TttOptions& options, size_t window_length, Precision precision,
                       std::vector<bool> trainable, ProcessGroup& group)
    : kernels_(&kernels),
      group_(&group),
      weights_(&weights),
      options_(options),
      length_(window_length),
      micro_batch_(MicroBatch(options, window_length)),
      trainable_(std::move(trainable)),
      plans_(std::move(factory), TrainOptions(micro_batch_, window_length, precision, trainable_),
             options.fake_quant),
      gradients_(weights.SameLayout()),
      first_moment_(weights.SameLayout()),
      second_moment_(options.optimizer == TttOptions::Optimizer::kAdamW ? weights.SameLayout()
                                                                        : TensorSet()) {
  for (size_t i = 0; i < weights.count(); ++i) {
    bf16_.push_back(trainable_[i] && MatchesAny(options.bf16_weights, weights.name(i)));
  }
}

Status TttTrainer::Train(const TokenStream& stream, const EvalStep& step,
                         const OnUpdate& on_update) {
  const size_t sequences = (step.end - step.begin) / length_;
  size_t updates = 0;
  for (size_t epoch = 0; epoch < options_.epochs; ++epoch) {
    for (size_t done = 0; done < sequences; done += options_.batch_sequences) {
      const size_t batch = std::min(options_.batch_sequences, sequences - done);
      GOLF_ASSIGN(const double loss, Gradient(stream, step.begin + done * length_, batch));
      const double norm = GradientNorm();
      if (!std::isfinite(loss) || !std::isfinite(norm)) {
        return {Code::kBadNumbers, fmt::format("test-time training on chunk {}, epoch {}, update "
                                               "{}: the loss is {}, the gradient's "
                                               "norm {}; the learning rate was {}",
                                               step.chunk, epoch, updates, loss, norm, step.lr)};
      }
      Update(step.lr, norm);
      ++updates;
      GOLF_TRY(on_update({loss, norm}));
    }
  }
  return group_->CheckSame(
      std::as_bytes(weights_->all()),
      {Code::kBadData, fmt::format("has other weights than rank 0 after test-time training on "
                                   "chunk {}; do the machines differ in kind?",
                                   step.chunk)});
}

// Leaves the gradient of the mean NLL of `sequences` windows side by side in gradients_ and returns that mean. Each process
// takes its share of the windows.
Result<double> TttTrainer::Gradient(const TokenStream& stream, size_t first_target,
                                    size_t sequences) {
  const std::span<const uint16_t> tokens = stream.tokens().subspan(first_target);
  gradients_.SetZero();
  const Share mine = MyShare(sequences, *group_);
  double part = 0;
  for (size_t done = mine.begin; done < mine.end; done += micro_batch_) {
    const size_t batch = std::min(micro_batch_, mine.end - done);
    const auto begin = tokens.begin() + done * length_, end = begin + batch * length_;
    ids_.assign(begin, end);
    targets_.assign(begin + 1, end + 1);
    const double share = static_cast<double>(batch) / static_cast<double>(sequences);
    GOLF_ASSIGN(Executor * executor, plans_.Get(batch, 0));
    part += share * executor->Train(ids_, targets_, static_cast<float>(share), gradients_);
  }
  GOLF_ASSIGN(const auto parts, group_->Gather(std::span<const double>(&part, 1)));
  for (size_t i = 0; i < gradients_.count(); ++i) {
    if (trainable_[i]) group_->Sum(gradients_[i]);
  }
  double loss = 0;
  for (const std::vector<double>& theirs : parts) loss += theirs.at(0);
  return loss;
}

double TttTrainer::GradientNorm() const {
  double sum = 0;
  for (size_t i = 0; i < gradients_.count(); ++i) {
    if (trainable_[i])
      sum += kernels_->optimizer.sum_of_squares(gradients_[i].size(), gradients_[i].data());
  }
  return std::sqrt(sum);
}

void TttTrainer::Update(double lr, double gradient_norm) {
  const OptimizerKernels& kernels = kernels_->optimizer;
  // 1e-6 as in torch.nn.utils.clip_grad_norm_.
  const double clip = options_.clip_norm > 0 ? options_.clip_norm / (gradient_norm + 1e-6) : 1;
  const SgdStep sgd{lr, options_.momentum, options_.weight_decay};
  const AdamWStep adamw{lr,           options_.beta1,        options_.beta2,
                        options_.eps, options_.weight_decay, ++updates_};
  for (size_t i = 0; i < weights_->count(); ++i) {
    if (!trainable_[i]) continue;
    const std::span<float> g = gradients_[i], p = (*weights_)[i], m = first_moment_[i];
    if (clip < 1) kernels.multiply(g.size(), static_cast<float>(clip), g.data());
    if (options_.optimizer == TttOptions::Optimizer::kSgd) {
      kernels.sgd(sgd, g.size(), g.data(), p.data(), m.data());
    } else {
      kernels.adamw(adamw, g.size(), g.data(), p.data(), m.data(), second_moment_[i].data());
      if (bf16_[i]) RoundToBf16(second_moment_[i]);
    }
    if (bf16_[i]) {
      RoundToBf16(p);
      RoundToBf16(m);
    }
  }
  plans_.WeightsChanged();
}

std::vector<std::string> TttTrainer::TrainedNames() const {
  std::vector<std::string> names;
  for (size_t i = 0; i < weights_->count(); ++i) {
    if (trainable_[i]) names.push_back(weights_->name(i));
  }
  return names;
}

}  // namespace golf
