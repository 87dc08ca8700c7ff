#include "trainer/training_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "artifact/hessians.h"
#include "artifact/safetensors.h"
#include "kernels/base/check.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "trainer/saved_state.h"
#include "trainer/schedule.h"

namespace golf {
namespace {

using Clock = std::chrono::steady_clock;

// Weights that overflowed would make every further step a bad one.
constexpr uint64_t kMaxBadSteps = 10;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::vector<TensorView> Views(const TensorSet& set) {
  std::vector<TensorView> views;
  for (size_t i = 0; i < set.count(); ++i) views.push_back(set.view(i));
  return views;
}

}  // namespace

TrainingRun::TrainingRun(const KernelTable& kernels, TrainingOptions options,
                         TrainingObserver& observer, ProcessGroup& group)
    : kernels_(kernels), options_(std::move(options)), observer_(observer), group_(group) {}

TrainingRun::~TrainingRun() = default;

Status TrainingRun::Run() {
  GOLF_CHECK(group_.rank() > 0 || (folder_ && log_));
  last_save_time_ = Clock::now();
  Status status;
  while (status.ok() && !Finished()) {
    status = ValidateIfDue();
    if (status.ok()) status = TrainStep();
    if (status.ok()) status = SaveIfDue();
  }
  if (status.ok()) status = Finish();
  if (status.code() == Code::kInterrupted) return Interrupt();
  if (status.code() == Code::kBadNumbers) {
    const std::string good = last_saved_.empty()
                                 ? "there is no checkpoint yet"
                                 : fmt::format("the last good checkpoint is {}", last_saved_);
    status = {Code::kBadNumbers, fmt::format("{}; {}", status.message(), good)};
    GOLF_TRY(Note(status.message()));
  }
  return status;
}

uint64_t TrainingRun::last_step() const {
  const uint64_t iterations = recipe_.train.schedule.iterations;
  return options_.stop_after_steps == 0 ? iterations
                                        : std::min(iterations, options_.stop_after_steps);
}

bool TrainingRun::Finished() const {
  return trainer_->step() >= last_step() ||
         ScheduleFinished(recipe_.train.schedule, trainer_->step(), elapsed_ms_);
}

Status TrainingRun::TrainStep() {
  const BatchSettings& batch = recipe_.train.batch;
  const uint64_t step = trainer_->step();
  const Clock::time_point start = Clock::now();
  const size_t span = batch.tokens / batch.slices;
  uint64_t position = cursor_;
  for (size_t slice = 0; slice < batch.slices; ++slice, position += span + 1) {
    GOLF_TRY(stream_->ReadSpan(position, {ids_.data() + slice * span, span},
                               {targets_.data() + slice * span, span}));
  }
  const auto proceed = [&](size_t windows) {
    return observer_.Proceed(step * batch.tokens + windows * recipe_.network.window);
  };
  const Result<StepReport> report = trainer_->Step(ids_, targets_, elapsed_ms_, proceed);
  if (!report.ok()) {
    if (report.status().code() != Code::kBadNumbers || !options_.skip_bad_steps ||
        ++bad_steps_ > kMaxBadSteps) {
      return report.status();
    }
    trainer_->SkipStep();
    cursor_ = position % stream_->tokens();
    observer_.Noted(fmt::format("skipped: {}", report.status().message()));
    return log_ ? log_->Skipped(step, report.status().message()) : Status();
  }
  bad_steps_ = 0;
  GOLF_TRY(ObserveIfDue(report->lr_factor));
  cursor_ = position % stream_->tokens();
  GOLF_ASSIGN(const double step_ms, group_.OfRankZero(MillisecondsSince(start)));
  elapsed_ms_ += step_ms;
  const double tokens_per_second = static_cast<double>(batch.tokens) / step_ms * 1000;
  observer_.Stepped(*report, tokens_per_second);
  if (!log_) return {};
  const Status logged = log_->Step(*report, tokens_per_second, elapsed_ms_);
  // A log on a full disk must not cost the steps since the last checkpoint.
  if (logged.ok() || !WriteCheckpoint().ok()) return logged;
  return {logged.code(), fmt::format("{}; saved as {}", logged.message(), last_saved_)};
}

ValidationPass TrainingRun::Pass() const {
  const ByteTable& bytes = tokenizer_.byte_table;
  return {kernels_,
          *program_,
          *validation_,
          bytes.size() > 0 ? &bytes : nullptr,
          recipe_.precision,
          recipe_.validation.batch_windows,
          group_,
          options_.stop};
}

Status TrainingRun::ValidateWeights(const char* name, const TensorSet& weights) {
  const auto proceed = [&] {
    return observer_.Proceed(trainer_->step() * recipe_.train.batch.tokens);
  };
  GOLF_ASSIGN(const ValidationResult result, Validate(Pass(), weights, proceed));
  observer_.Validated(trainer_->step(), name, result);
  return log_ ? log_->Validation(trainer_->step(), name, result) : Status();
}

Status TrainingRun::ValidateIfDue() {
  const uint64_t every = recipe_.validation.every;
  if (!validation_ || every == 0 || trainer_->step() % every != 0) return {};
  return ValidateWeights("raw", trainer_->weights());
}

Status TrainingRun::CheckSameWeights() {
  return group_.CheckSame(
      std::as_bytes(trainer_->weights().all()),
      {Code::kBadData, fmt::format("has other weights than rank 0 after {} steps; do the machines "
                                   "differ in kind?",
                                   trainer_->step())});
}

Status TrainingRun::Save() {
  GOLF_TRY(CheckSameWeights());
  if (folder_) GOLF_TRY(WriteCheckpoint());
  last_saved_step_ = trainer_->step();
  return {};
}

Status TrainingRun::WriteCheckpoint() {
  const std::vector<uint8_t> program = SerialiseProgram(*program_);
  CheckpointContents contents;
  contents.program = program;
  contents.recipe = recipe_.text;
  contents.tokenizer = tokenizer_;
  contents.training_shards = stream_->shards();
  if (validation_) contents.validation_shards = validation_->shards();
  SavedState state{trainer_->state(), recipe_.seed, cursor_, stream_->tokens(), elapsed_ms_, {}};
  if (collector_) state.hessians = collector_->state();
  WriteSavedState(state, contents);
  GOLF_ASSIGN(last_saved_, folder_->Save(trainer_->step(), contents, options_.keep));
  last_save_time_ = Clock::now();
  observer_.Saved(trainer_->step(), last_saved_);
  return log_->Checkpoint(trainer_->step(), last_saved_);
}

Status TrainingRun::SaveIfDue() {
  const bool by_steps =
      options_.checkpoint_steps > 0 && trainer_->step() % options_.checkpoint_steps == 0;
  const bool by_time = options_.checkpoint_minutes > 0 &&
                       MillisecondsSince(last_save_time_) >= 60'000 * options_.checkpoint_minutes;
  GOLF_ASSIGN(const bool due, group_.OfRankZero(by_steps || by_time));
  return due ? Save() : Status();
}

Status TrainingRun::Interrupt() {
  if (last_saved_step_ != trainer_->step()) GOLF_TRY(Save());
  return {Code::kInterrupted,
          fmt::format("stopped after {} steps, saved as {}; the same command with --resume "
                      "goes on",
                      trainer_->step(), last_saved_)};
}

// The checkpoint comes first: what follows may take long and can be repeated. Rank 0 collects the
// Hessians alone. A file that cannot be written costs neither the validation nor the other file.
Status TrainingRun::Finish() {
  if (last_saved_step_ != trainer_->step()) GOLF_TRY(Save());
  Status written;
  if (!options_.hessians.empty() && folder_) written = Calibrate();
  if (!written.ok() && written.code() != Code::kIo) return written;
  if (validation_) {
    GOLF_TRY(ValidateWeights("raw", trainer_->weights()));
    if (recipe_.train.ema_decay > 0) GOLF_TRY(ValidateWeights("ema", trainer_->averaged()));
    if (trainer_->swa().count() > 0) GOLF_TRY(ValidateWeights("swa", trainer_->swa()));
  }
  if (options_.export_path.empty() || !folder_) return written;
  GOLF_ASSIGN(const TensorSet* exported, FinalWeights());
  const Status saved = WriteSafetensors(options_.export_path, Views(*exported));
  return written.ok() ? saved : written;
}

Result<const TensorSet*> TrainingRun::FinalWeights() const {
  const TensorSet& weights = options_.export_weights == ExportedWeights::kRaw ? trainer_->weights()
                             : options_.export_weights == ExportedWeights::kSwa
                                 ? trainer_->swa()
                                 : trainer_->averaged();
  if (weights.count() == 0) {
    return Status(Code::kUsage,
                  "--export-weights swa: no snapshot was taken; raise swa.below above the last "
                  "learning-rate factors");
  }
  return &weights;
}

CalibrationOptions TrainingRun::CalibrationSettings() const {
  CalibrationOptions options;
  options.length = recipe_.network.window;
  options.precision = recipe_.precision;
  return options;
}

// Part of the step: on its clock, and not to be interrupted.
Status TrainingRun::ObserveIfDue(double lr_factor) {
  if (!collector_ || lr_factor >= kOnlineCalibrationBelow ||
      trainer_->step() % options_.calibrate_every != 0) {
    return {};
  }
  const size_t tokens = options_.calibration_windows * recipe_.network.window;
  return collector_->Add(std::span(ids_).first(std::min(tokens, ids_.size())), {});
}

// As golf-pack --calibrate collects them from the same shards, or as training has.
Result<HessianSet> TrainingRun::Hessians(const TensorSet& weights) {
  if (collector_) {
    if (collector_->state().tokens > 0) return collector_->Finish(weights);
    return Status(Code::kUsage,
                  fmt::format("--calibrate-every {}: no such step had a learning-rate factor below "
                              "{}; --resume without it collects now",
                              options_.calibrate_every, kOnlineCalibrationBelow));
  }
  const size_t length = recipe_.network.window;
  const size_t windows =
      std::min<uint64_t>(options_.calibration_windows, stream_->tokens() / (length + 1));
  std::vector<int32_t> ids(windows * length), targets(length);
  for (size_t i = 0; i < windows; ++i) {
    GOLF_TRY(stream_->ReadSpan(i * (length + 1), {ids.data() + i * length, length}, targets));
  }
  const uint64_t trained = trainer_->step() * recipe_.train.batch.tokens;
  return CollectHessians(kernels_, *program_, weights, ids, CalibrationSettings(),
                         [&](uint64_t) { return observer_.Proceed(trained); });
}

Status TrainingRun::Calibrate() {
  const Clock::time_point start = Clock::now();
  GOLF_ASSIGN(const TensorSet* weights, FinalWeights());
  GOLF_ASSIGN(HessianSet hessians, Hessians(*weights));
  calibration_seconds_ = hessians.seconds = MillisecondsSince(start) / 1000;
  hessians.source = fmt::format("{}", fmt::join(options_.data, " "));
  hessians.shards = stream_->shards();
  hessians.program = SerialiseProgram(*program_);
  GOLF_TRY(WriteHessians(options_.hessians, hessians));
  observer_.Calibrated(hessians.tokens, calibration_seconds_);
  return log_->Calibration(trainer_->step(), hessians.tokens, options_.hessians, train_seconds(),
                           calibration_seconds_);
}

}  // namespace golf
