// TrainingRun: everything before the first step.
#include <fmt/format.h>

#include "runtime/calibrate.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "trainer/choose_tokenizer.h"
#include "trainer/import_weights.h"
#include "trainer/initialise.h"
#include "trainer/saved_state.h"
#include "trainer/training_run.h"

namespace golf {

Result<std::unique_ptr<TrainingRun>> TrainingRun::Prepare(const KernelTable& kernels,
                                                          TrainingOptions options,
                                                          TrainingObserver& observer,
                                                          ProcessGroup& group) {
  std::unique_ptr<TrainingRun> run(new TrainingRun(kernels, std::move(options), observer, group));
  std::optional<Checkpoint> checkpoint;
  if (!run->options_.out.empty()) {
    GOLF_ASSIGN(checkpoint, run->OpenFolder());
  }
  GOLF_TRY(run->ChooseRecipe(checkpoint));
  GOLF_TRY(run->OpenTokens(checkpoint));
  GOLF_TRY(run->MakeTrainer(checkpoint));
  GOLF_TRY(run->CheckSameStart());
  if (run->folder_) {
    if (run->options_.start == StartMode::kFresh) GOLF_TRY(run->folder_->Clear());
    GOLF_TRY(run->StartLog());
  }
  return run;
}

// The folder is rank 0's; the others read the checkpoint that it found.
Result<std::optional<Checkpoint>> TrainingRun::OpenFolder() {
  std::optional<Checkpoint> checkpoint;
  if (group_.rank() == 0) {
    GOLF_ASSIGN(folder_, OutputFolder::Open(options_.out));
    GOLF_TRY(folder_->RefuseForeignFiles(options_.start == StartMode::kResume));
    GOLF_ASSIGN(const std::vector<std::string> present, folder_->Checkpoints());
    if (options_.start == StartMode::kNew && !present.empty()) {
      return Status(Code::kUsage,
                    fmt::format("{} already holds {}; add --resume to go on from it, --fresh to "
                                "delete what is there, or choose another --out",
                                options_.out, present.front()));
    }
    if (options_.start == StartMode::kResume) {
      std::vector<Status> damaged;
      Result<std::optional<Checkpoint>> newest = folder_->NewestCheckpoint(damaged);
      for (const Status& status : damaged) {
        GOLF_TRY(Note(fmt::format("damaged checkpoint set aside: {}", status.message())));
      }
      if (!newest.ok()) return newest.status();
      checkpoint = std::move(*newest);
    }
  }
  GOLF_ASSIGN(const std::string path,
              group_.OfRankZero(checkpoint ? checkpoint->path() : std::string()));
  if (group_.rank() > 0 && !path.empty()) {
    GOLF_ASSIGN(checkpoint, Checkpoint::Open(path));
  }
  return checkpoint;
}

Status TrainingRun::ChooseRecipe(const std::optional<Checkpoint>& checkpoint) {
  if (!options_.recipe.empty()) {
    GOLF_ASSIGN(recipe_, LoadRecipe(options_.recipe, options_.overrides));
  } else if (checkpoint) {
    GOLF_ASSIGN(recipe_,
                ParseRecipe(checkpoint->contents().recipe, checkpoint->path(), options_.overrides));
  } else {
    return {Code::kUsage, "--recipe is needed: there is no checkpoint to take one from"};
  }
  if (options_.export_weights == ExportedWeights::kSwa && recipe_.train.swa.every == 0) {
    return {Code::kUsage,
            "--export-weights swa: the recipe takes no snapshots; set swa.every, and swa.below"};
  }
  if (options_.calibrate_every > 0 && options_.hessians.empty()) {
    return {Code::kUsage, "--calibrate-every collects for --save-hessians FILE; give both"};
  }
  program_ = BuildNetwork(recipe_.network);
  GOLF_TRY(CheckProgram(*program_));
  if (!checkpoint) return {};

  const std::vector<uint8_t> program = SerialiseProgram(*program_);
  if (!std::ranges::equal(program, checkpoint->contents().program)) {
    return {Code::kUsage,
            fmt::format("{} is of another network than this recipe's; resume with the recipe it "
                        "was made with, or choose another --out",
                        checkpoint->path())};
  }
  const auto before = RecipeValues(checkpoint->contents().recipe), now = RecipeValues(recipe_.text);
  const auto value = [](const auto& values, const std::string& key) {
    const auto found = values.find(key);
    return found == values.end() ? std::string("(default)") : found->second;
  };
  auto keys = before;
  keys.insert(now.begin(), now.end());
  for (const auto& [key, _] : keys) {
    if (value(before, key) == value(now, key)) continue;
    GOLF_TRY(Note(fmt::format("the recipe changed since the checkpoint: {} was {}, is {}", key,
                              value(before, key), value(now, key))));
  }
  return {};
}

Status TrainingRun::OpenTokens(const std::optional<Checkpoint>& checkpoint) {
  GOLF_TRY(OpenStream());
  if (!options_.validation.empty()) GOLF_TRY(OpenValidation());
  std::vector<ShardFacts> shards = stream_->shards();
  if (validation_) {
    shards.insert(shards.end(), validation_->shards().begin(), validation_->shards().end());
  }
  TokenizerSources sources{options_.tokenizer, nullptr, {}, shards, recipe_.network.vocab_size};
  if (checkpoint) {
    sources.carried = &checkpoint->contents().tokenizer;
    sources.carrier = checkpoint->path();
  }
  GOLF_ASSIGN(ChosenTokenizer chosen, ChooseTokenizer(sources));
  tokenizer_ = std::move(chosen.info);
  if (!chosen.note.empty()) GOLF_TRY(Note(chosen.note));
  return chosen.warning.empty() ? Status() : Warn(chosen.warning);
}

// The others open the shards that rank 0 did not skip, all of them.
Status TrainingRun::OpenStream() {
  const uint32_t vocab_size = recipe_.network.vocab_size;
  if (group_.rank() == 0) {
    GOLF_ASSIGN(const std::vector<std::string> data, ListShards(options_.data, Split::kTrain));
    if (const std::string other = OtherSplit(data, Split::kTrain); !other.empty())
      GOLF_TRY(Warn(other));
    GOLF_ASSIGN(stream_, TrainingStream::Open(data, vocab_size, options_.skip_bad_shards));
    for (const Status& skipped : stream_->skipped()) {
      GOLF_TRY(Note(fmt::format("shard skipped: {}", skipped.message())));
    }
  }
  std::string opened;
  for (const ShardFacts& shard : stream_ ? stream_->shards() : std::vector<ShardFacts>()) {
    opened.append(shard.path).push_back('\0');
  }
  GOLF_ASSIGN(opened, group_.OfRankZero(opened));
  if (group_.rank() == 0) return {};
  std::vector<std::string> paths;
  for (size_t begin = 0; begin < opened.size(); begin += paths.back().size() + 1) {
    paths.emplace_back(opened.c_str() + begin);
  }
  GOLF_ASSIGN(stream_, TrainingStream::Open(paths, vocab_size));
  return {};
}

Status TrainingRun::OpenValidation() {
  GOLF_ASSIGN(const std::vector<std::string> shards,
              ListShards(options_.validation, Split::kValidation));
  if (const std::string other = OtherSplit(shards, Split::kValidation); !other.empty())
    GOLF_TRY(Warn(other));
  const uint64_t limit = recipe_.validation.max_tokens;
  GOLF_ASSIGN(validation_,
              TokenStream::Open(shards, recipe_.network.vocab_size, limit == 0 ? 0 : limit + 1));
  GOLF_TRY(CheckApart(validation_->shards(), stream_->shards(),
                      "which is trained on; validation needs other text"));
  return validation_->CutToWholeWindows(recipe_.network.window);
}

Status TrainingRun::MakeTrainer(const std::optional<Checkpoint>& checkpoint) {
  TensorSet weights;
  if (checkpoint) {
    weights = TensorSet(*program_);  // Restore fills them
  } else if (!options_.init.empty()) {
    GOLF_ASSIGN(ImportedWeights imported, ImportWeights(options_.init, recipe_.network, *program_));
    for (const std::string& note : imported.notes) {
      if (group_.rank() == 0) GOLF_TRY(Note(note));
    }
    weights = std::move(imported.weights);
  } else {
    weights = InitialWeights(recipe_.network, *program_, recipe_.seed);
  }
  GOLF_ASSIGN(trainer_, Trainer::Create(kernels_, *program_, std::move(weights), recipe_.train,
                                        recipe_.precision, group_, options_.stop));
  if (options_.calibrate_every > 0 && group_.rank() == 0) {
    collector_ =
        HessianCollector::Create(kernels_, *program_, trainer_->weights(), CalibrationSettings());
  }
  ids_.resize(recipe_.train.batch.tokens);
  targets_.resize(recipe_.train.batch.tokens);
  return checkpoint ? Restore(*checkpoint) : Status();
}

Status TrainingRun::Restore(const Checkpoint& checkpoint) {
  GOLF_ASSIGN(const SavedState saved, ReadSavedState(checkpoint));
  if (saved.stream_tokens != stream_->tokens()) {
    return {Code::kUsage,
            fmt::format("{}: training read a stream of {} tokens, --data has {} now; give the same "
                        "shards, or start anew from exported weights with --init",
                        checkpoint.path(), saved.stream_tokens, stream_->tokens())};
  }
  GOLF_TRY(CheckSameShards(checkpoint));
  if (const Status loaded = trainer_->Load(saved.trainer); !loaded.ok()) {
    return {loaded.code(), fmt::format("{}: {}", checkpoint.path(), loaded.message())};
  }
  if (collector_) {
    if (const Status loaded = collector_->Load(saved.hessians); !loaded.ok())
      return {loaded.code(), fmt::format("{}: {}", checkpoint.path(), loaded.message())};
  }
  cursor_ = saved.cursor;
  elapsed_ms_ = saved.elapsed_ms;
  last_saved_ = checkpoint.path();
  last_saved_step_ = trainer_->step();
  return {};
}

// Training goes on in the text where it stopped; the validation text changes only figures.
Status TrainingRun::CheckSameShards(const Checkpoint& checkpoint) {
  const CheckpointContents& before = checkpoint.contents();
  if (before.training_shards.empty()) {
    return Warn(
        fmt::format("{} has no hashes of its training shards; that --data names the same "
                    "is taken on trust",
                    checkpoint.path()));
  }
  if (const Status same = CheckSameText(before.training_shards, stream_->shards()); !same.ok()) {
    return {same.code(),
            fmt::format("{}: training read other shards, or in another order: {}; give the same "
                        "shards, or start anew from exported weights with --init",
                        checkpoint.path(), same.message())};
  }
  if (!validation_ || before.validation_shards.empty()) return {};
  const Status same = CheckSameText(before.validation_shards, validation_->shards());
  return same.ok() ? same
                   : Warn(fmt::format("the validation text changed since the checkpoint: {}",
                                      same.message()));
}

// Where the processes run on several machines, their files may not be the same.
Status TrainingRun::CheckSameStart() {
  const auto same = [&](std::span<const std::byte> bytes, const char* what) {
    return group_.CheckSame(bytes,
                            {Code::kBadData, fmt::format("has another {} than rank 0", what)});
  };
  std::string shards;
  for (const ShardFacts& shard : stream_->shards()) shards += shard.sha256;
  GOLF_TRY(same(std::as_bytes(std::span(recipe_.text)), "recipe"));
  GOLF_TRY(same(std::as_bytes(std::span(shards)), "training text"));
  GOLF_TRY(same(std::as_bytes(std::span(tokenizer_.sha256)), "tokenizer"));
  if (validation_) GOLF_TRY(same(std::as_bytes(validation_->tokens()), "validation text"));
  return CheckSameWeights();
}

Status TrainingRun::StartLog() {
  GOLF_ASSIGN(log_, TrainingLog::Open(folder_->path(), trainer_->step()));
  GOLF_TRY(log_->Start(recipe_.network.name, trainer_->weights().parameter_count(),
                       trainer_->step(), recipe_.train.batch.tokens, group_.size()));
  for (const std::string& note : notes_) GOLF_TRY(log_->Note(note));
  return {};
}

Status TrainingRun::Note(const std::string& text) {
  observer_.Noted(text);
  return Log(text);
}

// What comes before the log is open is written when it opens.
Status TrainingRun::Log(const std::string& text) {
  if (log_) return log_->Note(text);
  notes_.push_back(text);
  return {};
}

// Of several processes rank 0 warns.
Status TrainingRun::Warn(const std::string& text) {
  if (group_.rank() > 0) return {};
  observer_.Warned(text);
  return Log("warning: " + text);
}

Result<size_t> TrainingRun::PeakBytes() const {
  size_t validation_bytes = 0;
  if (validation_) {
    ExecutorOptions options;
    options.mode = Mode::kScore;
    options.precision = recipe_.precision;
    options.batch = std::min<size_t>(recipe_.validation.batch_windows,
                                     validation_->targets() / recipe_.network.window);
    options.length = recipe_.network.window;
    GOLF_ASSIGN(const std::unique_ptr<Executor> executor,
                Executor::Create(kernels_, *program_, trainer_->weights(), options));
    validation_bytes = executor->arena_bytes();
  }
  size_t calibration_bytes = 0;
  if (!options_.hessians.empty()) {
    const auto collector =
        HessianCollector::Create(kernels_, *program_, trainer_->weights(), CalibrationSettings());
    GOLF_ASSIGN(calibration_bytes, collector->PeakBytes());
  }
  return trainer_->memory_bytes() + validation_bytes + calibration_bytes;
}

}  // namespace golf
