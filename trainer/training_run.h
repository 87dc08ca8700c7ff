// A training run from files to files: recipe, shards and output folder in; checkpoints, logs and weights out.
// What golf-train does, apart from reading flags and printing.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "artifact/tokenizer_info.h"
#include "kernels/base/status.h"
#include "runtime/calibrate.h"
#include "runtime/token_stream.h"
#include "trainer/output_folder.h"
#include "trainer/recipe.h"
#include "trainer/trainer.h"
#include "trainer/training_log.h"
#include "trainer/training_stream.h"
#include "trainer/validate.h"

namespace golf {

enum class StartMode {
  kNew,     // refuses a folder that holds checkpoints
  kResume,  // goes on from the newest whole checkpoint; starts where there is none
  kFresh,   // deletes what earlier runs left in the folder
};

enum class ExportedWeights { kEma, kRaw, kSwa };

struct TrainingOptions {
  std::string recipe;  // name or path; may be empty where a checkpoint is resumed: its recipe then
  std::vector<std::string> overrides;   // "key=value", on top of the recipe
  std::vector<std::string> data;        // shard files, folders or globs
  std::vector<std::string> validation;  // likewise; may be empty
  // SentencePiece model, for bits per byte and for packing; empty: the checkpoint's, else tokenizer.model beside the first
  // training shard, if there is one.
  std::string tokenizer;
  std::string init;  // safetensors with the initial weights; may be empty
  std::string out;   // output folder; empty: nothing is read from or written to disk (a dry run)
  StartMode start = StartMode::kNew;
  // Stop when this many steps are done, the schedule unchanged; 0: at its end.
  uint64_t stop_after_steps = 0;
  uint64_t checkpoint_steps = 0;  // save every so many steps; 0: not by steps
  // Save when so much time has passed since the last; 0: not by time.
  double checkpoint_minutes = 0;
  size_t keep = 3;  // checkpoints kept
  bool skip_bad_shards = false;
  // Pass over the tokens of a step with a NaN or infinity instead of stopping.
  bool skip_bad_steps = false;
  std::string export_path;  // safetensors written at the end; may be empty
  // Which are final: to be exported and packed.
  ExportedWeights export_weights = ExportedWeights::kEma;
  std::string
      hessians;  // file for the final weights' Hessians, collected on the clock; may be empty
  size_t calibration_windows = 64;  // of the training text's beginning, for them
  // Collect them while training instead: from the first of a step's windows, every so many steps once the learning-rate
  // factor is below kOnlineCalibrationBelow; 0: after the last step.
  uint64_t calibrate_every = 0;
  // Once it is true, passes are abandoned where they are (null: run to their end). The observer's Proceed is to say the same.
  const std::atomic<bool>* stop = nullptr;
};

inline constexpr double kOnlineCalibrationBelow = 0.8;  // PR 1251

// Told what happens. The default does nothing. Of several processes each has its own.
class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  // Asked before each pass; targets trained on since the run's first step. False ends the run with a checkpoint.
  virtual bool Proceed(uint64_t /*targets_done*/) {
    return true;
  }  // false from one process ends all
  virtual void Stepped(const StepReport&, double /*tokens_per_second*/) {}
  virtual void Calibrated(uint64_t /*tokens*/, double /*seconds*/) {}
  virtual void Validated(uint64_t /*step*/, const char* /*weights*/, const ValidationResult&) {}
  virtual void Saved(uint64_t /*step*/, const std::string& /*path*/) {}
  virtual void Noted(const std::string& /*text*/) {}
  virtual void Warned(const std::string& /*text*/) {}  // what people have to see
};

class TrainingRun {
 public:
  ~TrainingRun();
  // Opens everything and restores or makes the initial state. Keeps references to `kernels`, `observer` and `group`, whose
  // processes share each step. Rank 0 alone writes, and decides what depends on clocks and folders; the others read the
  // checkpoint and the shards that it chose. kBadData if they do not start from the same; if the shards were made with another
  // tokenizer; if a shard is there twice, or in both texts; and if the checkpoint was trained on other shards.
  static Result<std::unique_ptr<TrainingRun>> Prepare(const KernelTable& kernels,
                                                      TrainingOptions options,
                                                      TrainingObserver& observer,
                                                      ProcessGroup& group = OneProcess());

  // Trains to the end of the schedule. kInterrupted: the observer stopped it, the state was saved. kBadNumbers: a NaN or
  // infinity; the message names step, tensor and the last good checkpoint.
  Status Run();

  bool Finished() const;  // every step is done
  const Recipe& recipe() const { return recipe_; }
  const schema::ProgramT& program() const { return *program_; }
  const Trainer& trainer() const { return *trainer_; }
  const TrainingStream& stream() const { return *stream_; }
  uint64_t last_step()
      const;  // steps done when the run ends (by steps; a wall clock may end it earlier)
  // The path of the newest whole one; empty: there is none yet.
  const std::string& newest_checkpoint() const { return last_saved_; }
  // What the challenge's clock for training shows: steps, in this run and those that it resumed, and the calibration.
  double train_seconds() const { return elapsed_ms_ / 1000; }
  double calibration_seconds() const { return calibration_seconds_; }
  // Bytes of weights, optimizer and passes: what the run will hold at most, without the token files.
  Result<size_t> PeakBytes() const;

 private:
  TrainingRun(const KernelTable& kernels, TrainingOptions options, TrainingObserver& observer,
              ProcessGroup& group);

  Result<std::optional<Checkpoint>> OpenFolder();
  Status ChooseRecipe(const std::optional<Checkpoint>& checkpoint);
  Status OpenTokens(const std::optional<Checkpoint>& checkpoint);
  Status OpenStream();
  Status OpenValidation();
  Status MakeTrainer(const std::optional<Checkpoint>& checkpoint);
  Status Restore(const Checkpoint& checkpoint);
  Status CheckSameShards(const Checkpoint& checkpoint);
  Status CheckSameStart();
  Status CheckSameWeights();
  Status StartLog();
  Status Note(const std::string& text);
  Status Warn(const std::string& text);
  Status Log(const std::string& text);

  Status TrainStep();
  Status Save();
  Status WriteCheckpoint();
  Status SaveIfDue();
  Status ValidateIfDue();
  Status ValidateWeights(const char* name, const TensorSet& weights);
  Status Interrupt();
  Status Finish();
  Result<const TensorSet*> FinalWeights() const;
  CalibrationOptions CalibrationSettings() const;
  Status ObserveIfDue(double lr_factor);
  Result<HessianSet> Hessians(const TensorSet& weights);
  Status Calibrate();
  ValidationPass Pass() const;

  const KernelTable& kernels_;
  TrainingOptions options_;
  TrainingObserver& observer_;
  ProcessGroup& group_;
  std::optional<OutputFolder> folder_;  // rank 0's, as is the log
  Recipe recipe_;
  std::unique_ptr<schema::ProgramT> program_;
  TokenizerInfo tokenizer_;
  std::optional<TrainingStream> stream_;
  std::optional<TokenStream> validation_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<HessianCollector> collector_;  // while training
  std::optional<TrainingLog> log_;
  std::vector<std::string> notes_;  // made before the log was open

  uint64_t cursor_ = 0;    // stream position of the next span
  double elapsed_ms_ = 0;  // training time: steps only, no validation, no checkpoints
  double calibration_seconds_ = 0;
  std::string last_saved_;
  std::optional<uint64_t> last_saved_step_;
  std::chrono::steady_clock::time_point last_save_time_;
  uint64_t bad_steps_ = 0;  // skipped in a row
  std::vector<int32_t> ids_, targets_;
};

}  // namespace golf
