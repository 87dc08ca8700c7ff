#include "tools/pack_input.h"

#include <algorithm>

#include "artifact/checkpoint.h"
#include "artifact/file_kind.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tools/print.h"
#include "trainer/import_weights.h"
#include "trainer/recipe.h"

namespace golf {
namespace {

Status AddPath(const std::string& path, const Status& status) {
  if (status.ok() || status.message().starts_with(path)) return status;
  return {status.code(), path + ": " + status.message()};
}

// Orders the tensors as the program does; each weight of it exactly once and nothing else.
Status LoadWeights(const std::string& path, const schema::ProgramT& program,
                   std::span<const TensorView> tensors, PackInput& input) {
  Result<TensorSet> weights = TensorSet::From(program, tensors);
  if (weights.ok()) input.weights = std::move(*weights);
  return AddPath(path, weights.status());
}

Status LoadTokenizer(const PackInputFlags& flags, const schema::ProgramT& program,
                     PackInput& input) {
  const bool carried = input.tokenizer.byte_table.size() > 0;
  input.tokenizer_path = flags.tokenizer.empty() ? flags.path : flags.tokenizer;
  if (flags.tokenizer.empty() && !carried) {
    return {Code::kUsage,
            flags.path + " names no tokenizer; give its SentencePiece model with --tokenizer"};
  }
  if (!flags.tokenizer.empty()) {
    GOLF_ASSIGN(TokenizerInfo given, ReadTokenizerInfo(flags.tokenizer));
    if (carried && !(given == input.tokenizer)) {
      return {Code::kUsage, flags.tokenizer + " is not the tokenizer that " + flags.path +
                                " was trained with (" + input.tokenizer.sha256 + ")"};
    }
    input.tokenizer = std::move(given);
  }
  if (input.tokenizer.byte_table.size() != program.vocab_size) {
    return {Code::kUsage, "the tokenizer has " + std::to_string(input.tokenizer.byte_table.size()) +
                              " pieces, the network " + std::to_string(program.vocab_size) +
                              "; they have to agree"};
  }
  if (const std::string why = WhyTooManyBytes(input.tokenizer.byte_table); !why.empty()) Warn(why);
  return {};
}

Result<PackInput> FromCheckpoint(const PackInputFlags& flags) {
  if (!flags.recipe.empty() || !flags.overrides.empty()) {
    return Status{Code::kUsage, "--recipe and --set are for safetensors; " + flags.path +
                                    " carries its own network"};
  }
  GOLF_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(flags.path));
  const CheckpointContents& contents = checkpoint.contents();
  PackInput input;
  input.program.assign(contents.program.begin(), contents.program.end());
  input.tokenizer = contents.tokenizer;
  GOLF_ASSIGN(const std::string group, CheckpointGroup(checkpoint, flags.weights));
  input.weights_name = group == "weights" ? "raw" : group;
  if (const auto step = contents.integers.find("step"); step != contents.integers.end())
    input.step = step->second;
  if (const std::optional<double> seconds = contents.train_seconds()) {
    if (!(*seconds >= 0 && *seconds < 1e9))
      return Status{Code::kBadData, flags.path + ": elapsed_ms: no training took such a time"};
    input.train_seconds = seconds;
  }
  if (flags.hash) input.sha256 = checkpoint.sha256();
  input.training_shards = contents.training_shards;
  input.validation_shards = contents.validation_shards;
  auto program = ParseProgram(input.program);
  if (!program.ok()) return AddPath(flags.path, program.status());
  input.recipe = (*program)->name;
  GOLF_TRY(LoadWeights(flags.path, **program, contents.group(group), input));
  GOLF_TRY(LoadTokenizer(flags, **program, input));
  return input;
}

Result<PackInput> FromSafetensors(const PackInputFlags& flags) {
  if (!flags.weights.empty())
    return Status{Code::kUsage, "--weights is for checkpoints; safetensors hold one set"};
  if (flags.recipe.empty()) {
    return Status{Code::kUsage,
                  flags.path + " is a safetensors file; name the network with --recipe"};
  }
  GOLF_ASSIGN(const Recipe recipe, LoadRecipe(flags.recipe, flags.overrides));
  const auto program = BuildNetwork(recipe.network);
  GOLF_ASSIGN(ImportedWeights imported, ImportWeights(flags.path, recipe.network, *program));
  PackInput input;
  input.sha256 = std::move(imported.sha256);
  input.program = SerialiseProgram(*program);
  input.recipe = program->name;
  input.weights_name = "safetensors";
  input.weights = std::move(imported.weights);
  input.notes = std::move(imported.notes);
  GOLF_TRY(LoadTokenizer(flags, *program, input));
  return input;
}

}  // namespace

Result<std::string> CheckpointGroup(const Checkpoint& checkpoint, const std::string& weights) {
  if (weights == "swa") {
    if (!checkpoint.contents().group("swa").empty()) return weights;
    return Status{Code::kUsage, checkpoint.path() +
                                    " has no SWA weights; its recipe takes no snapshots, or took "
                                    "none yet"};
  }
  const bool has_ema = !checkpoint.contents().group("ema").empty();
  if (weights == "ema" && !has_ema) {
    return Status{Code::kUsage, checkpoint.path() + " has no EMA weights; use --weights raw"};
  }
  return std::string(has_ema && weights != "raw" ? "ema" : "weights");
}

Result<PackInput> LoadPackInput(const PackInputFlags& flags) {
  GOLF_ASSIGN(const FileKind kind, KindOfWeights(flags.path));
  return kind == FileKind::kCheckpoint ? FromCheckpoint(flags) : FromSafetensors(flags);
}

}  // namespace golf
