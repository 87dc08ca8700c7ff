#include "trainer/evaluate_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "artifact/checkpoint.h"
#include "artifact/file_kind.h"
#include "artifact/token_shard.h"
#include "artifact/tokenizer_info.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "trainer/choose_tokenizer.h"
#include "trainer/import_weights.h"
#include "trainer/network.h"
#include "trainer/recipe.h"

namespace golf {
namespace {

// What the file says, and the recipe that was asked for or that it carries.
struct Source {
  Recipe recipe;
  std::unique_ptr<schema::ProgramT> program;
  TensorSet weights;
  std::string name;
  TokenizerInfo tokenizer;
  std::vector<std::string> notes;
  std::vector<ShardFacts> training_shards;
};

Status In(const std::string& path, const Status& status) {
  return {status.code(), fmt::format("{}: {}", path, status.message())};
}

Status TakeWeights(const std::string& path, std::span<const TensorView> tensors, Source& source) {
  Result<TensorSet> weights = TensorSet::From(*source.program, tensors);
  if (!weights.ok()) return In(path, weights.status());
  source.weights = std::move(*weights);
  return {};
}

Result<Source> FromCheckpoint(const EvaluationOptions& o) {
  GOLF_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(o.path));
  const CheckpointContents& contents = checkpoint.contents();
  Source source;
  if (o.recipe.empty()) {
    GOLF_ASSIGN(source.recipe, ParseRecipe(contents.recipe, o.path, o.overrides));
  } else {
    GOLF_ASSIGN(source.recipe, LoadRecipe(o.recipe, o.overrides));
  }
  source.program = BuildNetwork(source.recipe.network);
  if (!std::ranges::equal(SerialiseProgram(*source.program), contents.program)) {
    return Status(Code::kUsage,
                  fmt::format("{} is of another network than recipe '{}'; leave --recipe and --set "
                              "out to take its own",
                              o.path, source.recipe.network.name));
  }
  source.name = !o.weights.empty() ? o.weights : contents.group("ema").empty() ? "raw" : "ema";
  const auto tensors = contents.group(source.name == "raw" ? "weights" : source.name);
  if (tensors.empty()) {
    return Status(Code::kUsage, fmt::format("{} has no {} weights", o.path, source.name));
  }
  source.tokenizer = contents.tokenizer;
  source.training_shards = contents.training_shards;
  GOLF_TRY(TakeWeights(o.path, tensors, source));
  return source;
}

Result<Source> FromSafetensors(const EvaluationOptions& o) {
  if (o.recipe.empty() || !o.weights.empty()) {
    return Status(Code::kUsage,
                  fmt::format("{} is no checkpoint: it needs --recipe to say what network it "
                              "belongs to, and holds one set of weights",
                              o.path));
  }
  Source source;
  GOLF_ASSIGN(source.recipe, LoadRecipe(o.recipe, o.overrides));
  source.program = BuildNetwork(source.recipe.network);
  source.name = "safetensors";
  GOLF_ASSIGN(ImportedWeights imported,
              ImportWeights(o.path, source.recipe.network, *source.program));
  source.weights = std::move(imported.weights);
  source.notes = std::move(imported.notes);
  return source;
}

}  // namespace

Result<EvaluatedWeights> EvaluateWeights(const KernelTable& kernels, const EvaluationOptions& o,
                                         const std::function<bool()>& proceed,
                                         ProcessGroup& group) {
  GOLF_ASSIGN(const FileKind kind, KindOfWeights(o.path));
  GOLF_ASSIGN(Source source,
              kind == FileKind::kCheckpoint ? FromCheckpoint(o) : FromSafetensors(o));
  GOLF_ASSIGN(const std::vector<std::string> shards, ListShards(o.validation, Split::kValidation));
  const uint64_t limit = source.recipe.validation.max_tokens;
  GOLF_ASSIGN(TokenStream stream,
              TokenStream::Open(shards, source.program->vocab_size, limit == 0 ? 0 : limit + 1));
  GOLF_TRY(stream.CutToWholeWindows(source.program->window));
  GOLF_TRY(CheckApart(stream.shards(), source.training_shards,
                      "which the weights were trained on; validation needs other text"));
  GOLF_ASSIGN(const ChosenTokenizer tokenizer,
              ChooseTokenizer({o.tokenizer, &source.tokenizer, o.path, stream.shards(),
                               source.program->vocab_size}));

  GOLF_TRY(group.CheckSame(std::as_bytes(stream.tokens()),
                           {Code::kBadData, "has another validation text than rank 0"}));
  GOLF_TRY(group.CheckSame(std::as_bytes(source.weights.all()),
                           {Code::kBadData, "has other weights than rank 0"}));
  GOLF_TRY(group.CheckSame(std::as_bytes(std::span(tokenizer.info.sha256)),
                           {Code::kBadData, "has another tokenizer than rank 0"}));

  const ByteTable& bytes = tokenizer.info.byte_table;
  const ValidationPass pass = {kernels,
                               *source.program,
                               stream,
                               bytes.size() > 0 ? &bytes : nullptr,
                               source.recipe.precision,
                               source.recipe.validation.batch_windows,
                               group};
  EvaluatedWeights evaluated;
  evaluated.recipe = source.recipe.network.name;
  evaluated.weights = source.name;
  evaluated.warnings = std::move(source.notes);
  evaluated.parameters = source.weights.parameter_count();
  evaluated.tokenizer = tokenizer.path;
  for (const std::string& warning : {OtherSplit(shards, Split::kValidation), tokenizer.warning}) {
    if (!warning.empty()) evaluated.warnings.push_back(warning);
  }
  GOLF_ASSIGN(evaluated.result, Validate(pass, source.weights, proceed));
  return evaluated;
}

}  // namespace golf
