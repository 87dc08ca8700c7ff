// golf-pack: checkpoint or safetensors -> artifact within a byte budget.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>

#include "artifact/artifact.h"
#include "artifact/artifact_write.h"
#include "artifact/budget.h"
#include "artifact/check_tokenizer.h"
#include "artifact/file.h"
#include "artifact/fit.h"
#include "artifact/hessians.h"
#include "artifact/packing.h"
#include "artifact/size_report.h"
#include "artifact/stream_coder.h"
#include "kernels/threads.h"
#include "runtime/packed_network.h"
#include "tools/cli.h"
#include "tools/number_flags.h"
#include "tools/output_guard.h"
#include "tools/pack_hessians.h"
#include "tools/pack_input.h"
#include "tools/pack_report.h"
#include "tools/size_tables.h"
#include "tools/time_limit.h"

namespace golf {
namespace {

struct Flags {
  PackInputFlags input;
  HessianFlags hessians;
  std::string output, preset, check, gptq = "gptq", fit;
  std::optional<double> prune, max_train_seconds;
  OverTime over_time = OverTime::kFail;
  int level = 22, threads = 0;
  uint64_t max_bytes = 0;
  std::vector<std::string> code;
  bool dry_run = false;
  OutputFlags print;
};

void AddFlags(CLI::App& app, Flags& f) {
  auto* input = app.add_option_group("Input");
  input
      ->add_option("input", f.input.path,
                   "A checkpoint of golf-train, or safetensors with the reference's tensor names")
      ->type_name("FILE");
  input
      ->add_option("--weights", f.input.weights,
                   "Checkpoint: ema (default where there is one), raw or swa")
      ->check(CLI::IsMember({"ema", "raw", "swa"}).description(""))
      ->type_name("NAME");
  input
      ->add_option("--recipe", f.input.recipe,
                   "safetensors: the recipe of the network they belong to")
      ->type_name("NAME|FILE");
  input
      ->add_option("--set", f.input.overrides,
                   "safetensors: override a value of the recipe; repeatable")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  input
      ->add_option("--tokenizer", f.input.tokenizer,
                   "The SentencePiece model: safetensors need it, --check compares the artifact's "
                   "byte table with it")
      ->type_name("MODEL");

  auto* output = app.add_option_group("Output");
  output
      ->add_option("-o,--output", f.output, "The artifact to write; replaced only by one that fits")
      ->type_name("FILE");
  output
      ->add_option("--preset", f.preset,
                   fmt::format("How weights are stored: {}; default: that of the recipe if it is a "
                               "published one, else int6",
                               fmt::join(PackingNames(), ", ")))
      ->check(CLI::IsMember(PackingNames()).description(""))
      ->type_name("NAME");
  output
      ->add_option(
          "--gptq", f.gptq,
          "With Hessians: gptq, reference (as PR 1004 published it) or off (nearest codes)")
      ->check(CLI::IsMember({"gptq", "reference", "off"}).description(""))
      ->capture_default_str()
      ->type_name("MODE");
  AddReal(*output, "--prune", f.prune,
          "Share of each coded matrix's smallest weights that become zero first; default: "
          "the preset's",
          {0, 0.99})
      ->type_name("F");
  AddCount(*output, "--level", f.level, "Of zstd", {1, static_cast<uint64_t>(MaxStreamLevel())})
      ->capture_default_str()
      ->type_name("N");
  output->add_flag("--dry-run", f.dry_run,
                   "Write nothing; print the size of every tensor, exact to the byte");

  auto* budget = app.add_option_group("Budget");
  AddBytes(*budget, "--max-bytes", f.max_bytes,
           "Artifact and code together may have so many bytes; more is exit code 5")
      ->type_name("N");
  budget->add_flag(
      "--fit{error}", f.fit,
      "Find the packing of least loss within --max-bytes: by error (the default; codes "
      "per matrix, pruning and level), or --fit=pr1232, that pull request's ladder");
  AddTimeLimit(*budget, "--max-train-seconds", f.max_train_seconds,
               "Steps of training and calibration on shards may have taken so long; what took "
               "longer is not packed");
  AddOverTimeFlag(*budget, f.over_time);
  budget->add_option("--code", f.code, "Files that count as code")->type_name("FILE...");
  budget->add_option("--check", f.check, "Only check this artifact against --max-bytes")
      ->type_name("ARTIFACT");

  AddThreadsFlag(app, f.threads);
  AddHessianFlags(app, f.hessians);
  AddOutputFlags(app, f.print);
  app.footer(
      "Example: a network trained in PyTorch, saved with "
      "safetensors.torch.save_file(model.state_dict(), ...)\n"
      "  golf-pack model.safetensors --recipe pr598 --tokenizer fineweb_1024_bpe.model \\\n"
      "            -o model.ptz --max-bytes 16000000 --code train_gpt.py\n"
      "Exit codes: 0 done, 2 usage, 3 input/output, 4 bad data, 5 over budget, 7 a NaN in the "
      "weights");
}

// From this share of pruned weights on a network that fits is worth a warning.
constexpr double kMuchPruned = 0.2;
constexpr int kFastLevel = 3;

Result<Budget> MakeBudget(const Flags& f, uint64_t artifact_bytes) {
  GOLF_ASSIGN(std::vector<CodeFile> code, MeasureCode(f.code));
  return Budget{artifact_bytes, std::move(code), f.max_bytes};
}

Status CheckBudget(const Budget& budget) {
  return budget.max_bytes == 0 ? Status() : budget.Check();
}

Status CheckOnly(const Flags& f) {
  if (f.max_bytes == 0) return {Code::kUsage, "--check needs --max-bytes"};
  if (!f.input.path.empty() || !f.output.empty() || f.dry_run) {
    return {Code::kUsage, "--check packs nothing; leave out FILE, --output and --dry-run"};
  }
  // What golf-run cannot run does not pass, whatever its size.
  GOLF_ASSIGN(const PackedNetwork packed, ReadPackedNetwork(f.check));
  const Artifact& artifact = packed.artifact;
  GOLF_TRY(CheckTokenizerFile(artifact.tokenizer(), f.check, f.input.tokenizer));
  const char* byte_table = ByteTableState(!f.input.tokenizer.empty());
  GOLF_ASSIGN(const Budget budget, MakeBudget(f, artifact.file_bytes()));
  const SizeReport report = MakeSizeReport(artifact);
  if (f.print.json) {
    nlohmann::ordered_json json{{"artifact", f.check}, {"artifact_sha256", artifact.sha256()}};
    json["content_hash"] = artifact.content_hash();
    json["byte_table"] = byte_table;
    json.update(ToJson(report));
    AddBudget(budget, json);
    PrintJson(json);
  } else {
    if (!budget.Check().ok()) PrintGroups(report);
    PrintBudget(budget);
    Print("\nsha256 {}\nbyte table {}\n", artifact.sha256(), byte_table);
  }
  return budget.Check();
}

// What is known of the challenge's clock for training: the checkpoint's steps, and a calibration that read shards.
struct TrainClock {
  std::optional<double> steps;
  double calibration = 0;

  double seconds() const { return steps.value_or(0) + calibration; }
  Status Check(std::optional<double> limit, OverTime over_time) const {
    if (limit && !steps) {
      return {Code::kUsage,
              "--max-train-seconds needs a checkpoint: safetensors do not say how long training "
              "took"};
    }
    return CheckSeconds("training", seconds(), "--max-train-seconds", limit, over_time);
  }
};

// A packing of the input, and what is to be said of it.
struct Packed {
  std::vector<EncodedTensor> tensors;
  int level = 22;
  std::vector<GptqGain> gains;
  std::optional<FitResult> fit;
  double seconds = 0;  // of choosing codes and compressing them; calibration counts apart
};

void PrintReport(const Flags& f, const PackInput& input, const Packed& packed,
                 const TrainClock& clock, const Artifact& artifact, const Budget& budget,
                 bool written) {
  const SizeReport report = MakeSizeReport(artifact);
  if (f.print.json) {
    nlohmann::ordered_json json{{"input", f.input.path},
                                {"input_sha256", input.sha256},
                                {"weights", input.weights_name},
                                {"step", input.step},
                                {"packing", artifact.provenance().packing},
                                {"level", packed.level},
                                {"artifact_sha256", artifact.sha256()},
                                {"content_hash", artifact.content_hash()}};
    json["output"] = written ? nlohmann::ordered_json(f.output) : nlohmann::ordered_json();
    if (packed.fit) json["fit"] = ToJson(*packed.fit);
    if (!packed.gains.empty()) json["gptq"] = ToJson(packed.gains);
    json["train_seconds"] = clock.steps ? nlohmann::ordered_json(*clock.steps) : nullptr;
    json["calibration_seconds"] = clock.calibration;
    if (f.max_train_seconds) {
      json["max_train_seconds"] = *f.max_train_seconds;
      json["over_time"] = clock.seconds() > *f.max_train_seconds;
    }
    json["seconds"] = packed.seconds;
    json.update(ToJson(report));
    AddBudget(budget, json);
    PrintJson(json);
    return;
  }
  Print("{}: {} weights in {} tensors, packed as {}\n\n", f.input.path,
        Grouped(input.weights.parameter_count()), artifact.table().size(),
        artifact.provenance().packing);
  if (packed.fit) PrintPath(*packed.fit);
  PrintGains(packed.gains);
  if (f.dry_run) {
    PrintTree(LeavesOf(report));
    Print("\n");
  }
  PrintGroups(report);
  PrintBudget(budget);
  if (clock.steps)
    Print("\ntrained for {:.1f} s, calibrated for {:.1f} s", *clock.steps, clock.calibration);
  Print("\npacked in {}\n", Duration(packed.seconds));
  if (written) Print("written to {}\nsha256 {}\n", f.output, artifact.sha256());
}

Status CheckFlags(const Flags& f) {
  if (f.input.path.empty())
    return {Code::kUsage, "what is to be packed? give a checkpoint or safetensors file"};
  if (f.output.empty() && !f.dry_run)
    return {Code::kUsage, "where to? give --output FILE, or --dry-run"};
  if (f.fit.empty()) return {};
  if (f.fit != "error" && f.fit != "pr1232")
    return {Code::kUsage, "--fit=" + f.fit + ": expected error or pr1232"};
  if (f.max_bytes == 0) return {Code::kUsage, "--fit needs --max-bytes"};
  return {};
}

using Serialiser = std::function<std::vector<uint8_t>(std::span<const EncodedTensor>, int level)>;

Result<Packed> PackWeights(const Flags& f, const Packing& packing,
                           std::span<const TensorView> weights, const HessianSet* hessians,
                           const Budget& budget, const Serialiser& serialise) {
  EncodeOptions options;
  options.hessians = f.gptq == "off" ? nullptr : hessians;
  if (f.gptq == "reference") options.gptq.mode = GptqMode::kReference;
  options.prune = f.prune.value_or(packing.prune);
  Packed packed;
  packed.level = f.level;
  if (f.fit.empty()) {
    GOLF_ASSIGN(packed.tensors, EncodeTensors(packing, weights, options, &packed.gains));
    return packed;
  }
  FitTask task{weights, options, f.level, 0, {}};
  task.max_bytes = budget.max_bytes - std::min(budget.max_bytes, budget.code_bytes());
  task.artifact_bytes = [&](std::span<const EncodedTensor> tensors, int level) {
    return serialise(tensors, level).size();
  };
  GOLF_ASSIGN(packed.fit,
              f.fit == "pr1232" ? FitByLadder(packing, task) : FitByError(packing, task));
  packed.tensors = std::move(packed.fit->tensors);
  packed.level = packed.fit->level;
  return packed;
}

Status CheckFiles(const Flags& f) {
  std::vector<NamedPath> inputs = NamedPaths("--code", f.code);
  const bool shards = f.hessians.calibrate != kCalibrateSelf;
  inputs.insert(inputs.end(), {{"the input", f.input.path},
                               {"--recipe", f.input.recipe},
                               {"--tokenizer", f.input.tokenizer},
                               {"--calibrate", shards ? f.hessians.calibrate : ""},
                               {"--hessians", f.hessians.file}});
  return CheckOutputs(
      {{"--output", f.dry_run ? "" : f.output}, {"--save-hessians", f.hessians.save}}, inputs);
}

// What to try where the packing is over the budget. Sizes are those of a fast level, which few others exceed.
std::string WhatWouldFit(const Flags& f, const Packing& packing,
                         std::span<const TensorView> weights, const Budget& budget,
                         const Serialiser& serialise) {
  if (f.fit == "error")
    return "no packing of this network that --fit knows is smaller; raise --max-bytes or train a "
           "smaller network";
  std::string smaller;
  for (const char* name : {"int6", "int5"}) {
    if (packing.name == name || !smaller.empty()) continue;
    const auto encoded = EncodeTensors(*FindPacking(name), weights);
    if (!encoded.ok()) continue;
    const uint64_t bytes = serialise(*encoded, std::min(f.level, kFastLevel)).size();
    if (bytes + budget.code_bytes() > budget.max_bytes) continue;
    smaller = fmt::format("--preset {} fits with an artifact of about {} bytes, and ", name,
                          Grouped(bytes));
  }
  return smaller + "--fit finds the packing of least error that fits";
}

Status Pack(const Flags& f) {
  GOLF_TRY(CheckFlags(f));
  GOLF_TRY(CheckFiles(f));
  PackInputFlags input_flags = f.input;
  input_flags.hash = f.print.json;
  GOLF_ASSIGN(const PackInput input, LoadPackInput(input_flags));
  for (const std::string& note : input.notes) Warn(note);
  GOLF_ASSIGN(const Packing packing,
              FindPacking(f.preset.empty() ? DefaultPacking(input.recipe) : f.preset));
  GOLF_ASSIGN(Budget budget,
              MakeBudget(f, 0));  // before the work: a missing code file costs no minute
  GOLF_ASSIGN(const std::optional<HessianSet> hessians, LoadHessians(f.hessians, input, f.print));
  // What can be reported in spite of a full disk is reported.
  const Status saved =
      f.hessians.save.empty() ? Status() : WriteHessians(f.hessians.save, *hessians);
  const TrainClock clock{input.train_seconds,
                         hessians && hessians->took_data() ? hessians->seconds : 0};
  GOLF_TRY(clock.Check(f.max_train_seconds, f.over_time));

  std::vector<TensorView> weights;
  for (size_t i = 0; i < input.weights.count(); ++i) weights.push_back(input.weights.view(i));
  const Provenance provenance{
      "golf-pack " GOLF_VERSION,
      packing.name,
      input.weights_name,
      input.step,
      input.training_shards,
      hessians && f.gptq != "off" ? hessians->shards : std::vector<ShardFacts>()};
  StreamCache cache;
  const Serialiser serialise = [&](std::span<const EncodedTensor> tensors, int level) {
    return SerialiseArtifact({input.program, input.tokenizer, provenance, tensors}, level, &cache);
  };
  const auto start = std::chrono::steady_clock::now();
  GOLF_ASSIGN(Packed packed,
              PackWeights(f, packing, weights, hessians ? &*hessians : nullptr, budget, serialise));
  const std::vector<uint8_t> bytes = serialise(packed.tensors, packed.level);
  packed.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  // What is reported, and what is written, is what the reader makes of the bytes.
  GOLF_ASSIGN(const Artifact artifact, Artifact::Parse(bytes));
  if (artifact.encoded() != packed.tensors)
    return {Code::kInternal, "the packed artifact does not read back as packed"};
  budget.artifact_bytes = bytes.size();
  Status fits = CheckBudget(budget);
  if (!fits.ok()) {
    fits = {fits.code(),
            fits.message() + "; " + WhatWouldFit(f, packing, weights, budget, serialise)};
  }
  if (fits.ok() && packed.fit && packed.fit->pruned > kMuchPruned) {
    Warn(fmt::format(
        "{:.0f} % of the weights were pruned to fit: expect a clearly worse score than in float; "
        "--max-bytes is small for this network",
        100 * packed.fit->pruned));
  }
  const bool write = fits.ok() && !f.dry_run;
  const Status written = write ? WriteFileAtomically(f.output, bytes) : Status();
  PrintReport(f, input, packed, clock, artifact, budget, write && written.ok());
  GOLF_TRY(fits);
  GOLF_TRY(written);
  return saved;
}

int Main(int argc, char** argv) {
  CLI::App app{"Packs a trained network into an artifact, within a byte budget."};
  Flags flags;
  AddFlags(app, flags);
  return RunProgram(app, argc, argv, [&] {
    if (flags.threads > 0) SetThreads(flags.threads);
    return flags.check.empty() ? Pack(flags) : CheckOnly(flags);
  });
}

}  // namespace
}  // namespace golf

int main(int argc, char** argv) { return golf::Main(argc, argv); }
