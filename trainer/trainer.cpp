#include "trainer/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "kernels/base/bf16.h"
#include "kernels/base/check.h"
#include "kernels/table.h"
#include "schemas/program_generated.h"
#include "trainer/schedule.h"

namespace golf {

Trainer::Trainer(const KernelTable& kernels, const schema::ProgramT& program, TensorSet weights,
                 const TrainSettings& settings, std::vector<WeightUpdate> updates,
                 Precision precision, ProcessGroup& group, const std::atomic<bool>* stop)
    : kernels_(kernels),
      group_(group),
      stop_(stop),
      window_(program.window),
      settings_(settings),
      weights_(std::move(weights)),
      gradients_(weights_.SameLayout()),
      optimizer_(kernels, weights_, settings_, std::move(updates),
                 precision == Precision::kBf16 ? Element::kBf16 : Element::kFloat),
      stale_gradients_(weights_.count()) {
  if (settings_.ema_decay > 0) {
    ema_ = weights_.SameLayout();
    ema_.CopyFrom(weights_);
  }
  for (size_t i = 0; i < weights_.count(); ++i) {
    if (optimizer_.updates()[i].stale_gradient) stale_gradients_[i].resize(weights_[i].size());
  }
}

Result<std::unique_ptr<Trainer>> Trainer::Create(const KernelTable& kernels,
                                                 const schema::ProgramT& program, TensorSet weights,
                                                 const TrainSettings& settings, Precision precision,
                                                 ProcessGroup& group,
                                                 const std::atomic<bool>* stop) {
  GOLF_ASSIGN(std::vector<WeightUpdate> updates, AssignUpdates(weights, settings));
  for (size_t i = 0; i < updates.size(); ++i) {
    // No gradient ever comes, so no optimizer of the references touches it: not even decay.
    if (program.weights[i]->unread) updates[i].rule = UpdateRule::kNone;
    if (updates[i].bf16) RoundToBf16(weights[i]);
  }
  ExecutorOptions options;
  options.mode = Mode::kTrain;
  options.precision = precision;
  options.batch = settings.batch.micro_windows;
  options.length = program.window;
  options.focal_gamma = settings.focal_gamma;
  options.stop = stop;
  for (const WeightUpdate& update : updates) {
    options.trainable.push_back(update.rule != UpdateRule::kNone || update.stale_gradient);
  }
  std::unique_ptr<Trainer> trainer(new Trainer(kernels, program, std::move(weights), settings,
                                               std::move(updates), precision, group, stop));
  GOLF_ASSIGN(trainer->executor_, Executor::Create(kernels, program, trainer->weights_, options));
  return trainer;
}

Result<StepReport> Trainer::Step(std::span<const int32_t> ids, std::span<const int32_t> targets,
                                 double elapsed_ms, const Proceed& proceed) {
  GOLF_CHECK(ids.size() == settings_.batch.tokens && targets.size() == ids.size());
  StepReport report;
  report.step = step_;
  report.lr_factor = LearningRateFactor(settings_.schedule, step_, elapsed_ms);
  report.muon_momentum = MuonMomentum(settings_.muon, step_);
  report.late_qat = LateQatOn(settings_.late_qat, late_qat_, report.lr_factor);
  const bool fake_quant = report.late_qat && !settings_.reference.dead_late_qat;
  FakeQuant levels = settings_.late_qat.levels;
  if (settings_.late_qat.soft) {
    levels.sharpness = static_cast<float>(SoftRoundSharpness(settings_.late_qat, report.lr_factor));
  }
  executor_->WeightsChanged(fake_quant ? std::optional(levels) : std::nullopt);

  GOLF_ASSIGN(report.loss_nats, Gradients(ids, targets, proceed));
  executor_->BackThroughFakeQuant(gradients_);
  GOLF_ASSIGN(report.grad_norm, GradientNorm());
  if (settings_.grad_clip_norm > 0) {
    const double factor = std::min(1.0, settings_.grad_clip_norm / (report.grad_norm + 1e-6));
    if (factor < 1) {
      const std::span<float> all = gradients_.all();
      kernels_.optimizer.multiply(all.size(), static_cast<float>(factor), all.data());
    }
  }
  for (size_t i = 0; i < stale_gradients_.size(); ++i) {
    if (!stale_gradients_[i].empty()) std::ranges::copy(gradients_[i], stale_gradients_[i].begin());
  }
  optimizer_.Step(report.lr_factor, report.muon_momentum, gradients_, weights_);
  if (settings_.ema_decay > 0) {
    kernels_.optimizer.ema(weights_.all().size(), settings_.ema_decay, weights_.all().data(),
                           ema_.all().data());
  }
  late_qat_ = report.late_qat;
  ++step_;
  if (SwaSnapshotDue(settings_.swa, step_, report.lr_factor)) AddSnapshot();
  return report;
}

// mean <- mean + (snapshot - mean) / n
void Trainer::AddSnapshot() {
  const TensorSet& source = settings_.swa.source == SwaSettings::Source::kEma ? ema_ : weights_;
  ++swa_snapshots_;
  if (swa_.count() == 0) {
    swa_ = source.SameLayout();
    swa_.CopyFrom(source);
    return;
  }
  const float share = 1.0F / static_cast<float>(swa_snapshots_);
  kernels_.optimizer.axpby(source.all().size(), share, source.all().data(), 1.0F - share,
                           swa_.all().data());
}

// Leaves the gradient of the step's mean NLL (plus stale gradients) in gradients_; returns that mean.
Result<double> Trainer::Gradients(std::span<const int32_t> ids, std::span<const int32_t> targets,
                                  const Proceed& proceed) {
  const std::vector<double> mine = AddMyGradients(ids, targets, proceed);
  GOLF_ASSIGN(const auto all, group_.Gather(std::span(mine)));
  const size_t passes = ids.size() / (settings_.batch.micro_windows * window_);
  double sum = 0;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const Share share = ShareOf(passes, rank, all.size());
    for (size_t i = 0; i < share.size(); ++i) {
      if (i == all[rank].size()) {
        return Status(Code::kInterrupted, fmt::format("step {} was abandoned", step_));
      }
      const double loss = all[rank][i];
      if (!std::isfinite(loss)) {
        return Status(Code::kBadNumbers, fmt::format("step {}: the loss of micro-batch {} of {} "
                                                     "is {}",
                                                     step_, share.begin + i + 1, passes, loss));
      }
      sum += loss;
    }
  }
  group_.Sum(gradients_.all());
  return sum / static_cast<double>(passes);
}

// The losses of this process's share of the passes; fewer where it was told to stop, or where the last is not finite.
std::vector<double> Trainer::AddMyGradients(std::span<const int32_t> ids,
                                            std::span<const int32_t> targets,
                                            const Proceed& proceed) {
  gradients_.SetZero();
  for (size_t i = 0; i < stale_gradients_.size() && group_.rank() == 0; ++i) {
    std::ranges::copy(stale_gradients_[i], gradients_[i].begin());
  }
  const size_t micro_tokens = settings_.batch.micro_windows * window_;
  const size_t passes = ids.size() / micro_tokens;
  const Share share = MyShare(passes, group_);
  std::vector<double> losses;
  for (size_t pass = share.begin; pass < share.end; ++pass) {
    const size_t done = std::min((pass - share.begin) * group_.size(), passes);
    if (proceed && !proceed(done * settings_.batch.micro_windows)) break;
    const double loss = executor_->Train(ids.subspan(pass * micro_tokens, micro_tokens),
                                         targets.subspan(pass * micro_tokens, micro_tokens),
                                         1.0F / static_cast<float>(passes), gradients_);
    if (stop_ != nullptr && *stop_) break;
    losses.push_back(loss);
    if (!std::isfinite(loss)) break;
  }
  return losses;
}

Result<double> Trainer::GradientNorm() const {
  double sum = 0;
  for (size_t i = 0; i < gradients_.count(); ++i) {
    const double squares =
        kernels_.optimizer.sum_of_squares(gradients_[i].size(), gradients_[i].data());
    if (!std::isfinite(squares)) {
      return Status(Code::kBadNumbers,
                    fmt::format("step {}: the gradient of '{}' holds a NaN or infinity", step_,
                                gradients_.name(i)));
    }
    sum += squares;
  }
  return std::sqrt(sum);
}

size_t Trainer::memory_bytes() const {
  const size_t sets = 2 + (settings_.ema_decay > 0 ? 1 : 0) + (settings_.swa.every > 0 ? 1 : 0);
  return sets * weights_.all().size_bytes() + optimizer_.state_bytes() +
         optimizer_.scratch_bytes() + executor_->arena_bytes();
}

namespace {

std::vector<TensorView> Views(const TensorSet& set) {
  std::vector<TensorView> views;
  for (size_t i = 0; i < set.count(); ++i) views.push_back(set.view(i));
  return views;
}

}  // namespace

Trainer::State Trainer::state() const {
  State state;
  state.step = step_;
  state.optimizer_steps = optimizer_.steps();
  state.late_qat = late_qat_;
  state.weights = Views(weights_);
  state.ema = Views(ema_);
  state.swa = Views(swa_);
  state.swa_snapshots = swa_snapshots_;
  for (size_t i = 0; i < stale_gradients_.size(); ++i) {
    if (stale_gradients_[i].empty()) continue;
    state.stale_gradients.push_back({weights_.name(i), weights_.shape(i), stale_gradients_[i]});
  }
  for (size_t slot = 0; slot < std::size(state.optimizer); ++slot) {
    state.optimizer[slot] = optimizer_.Slot(slot);
  }
  return state;
}

Status Trainer::Load(const State& state) {
  GOLF_TRY(weights_.Load(state.weights));
  if (settings_.ema_decay > 0) GOLF_TRY(ema_.Load(state.ema));
  if (settings_.swa.every > 0 && state.swa_snapshots > 0) {
    swa_ = weights_.SameLayout();
    GOLF_TRY(swa_.Load(state.swa));
    swa_snapshots_ = state.swa_snapshots;
  }
  for (size_t slot = 0; slot < std::size(state.optimizer); ++slot) {
    GOLF_TRY(optimizer_.LoadSlot(slot, state.optimizer[slot]));
  }
  for (const TensorView& tensor : state.stale_gradients) {
    const size_t i = weights_.Find(tensor.name);
    if (i == weights_.count() || stale_gradients_[i].size() != tensor.data.size()) {
      return {Code::kBadData,
              fmt::format("stale gradient '{}' does not belong to this recipe", tensor.name)};
    }
    std::ranges::copy(tensor.data, stale_gradients_[i].begin());
  }
  optimizer_.set_steps(state.optimizer_steps);
  step_ = state.step;
  late_qat_ = state.late_qat;
  return {};
}

}  // namespace golf
