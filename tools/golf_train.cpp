// golf-train: recipe + token shards -> checkpoints of a trained network.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <optional>

#include "artifact/json.h"
#include "kernels/table.h"
#include "kernels/threads.h"
#include "tools/cli.h"
#include "tools/number_flags.h"
#include "tools/output_guard.h"
#include "tools/time_limit.h"
#include "tools/together.h"
#include "tools/train_report.h"
#include "trainer/evaluate_weights.h"
#include "trainer/output_folder.h"
#include "trainer/training_run.h"

namespace golf {
namespace {

struct Flags {
  TrainingOptions training;
  OutputFlags output;
  std::string precision, evaluate, evaluate_weights;
  std::optional<double> max_train_seconds;
  OverTime over_time = OverTime::kFail;
  uint32_t micro_windows = 0;
  int threads = 0;
  bool resume = false, fresh = false, dry_run = false, print_recipe = false;
};

void AddFlags(CLI::App& app, Flags& f) {
  TrainingOptions& t = f.training;
  auto* input = app.add_option_group("Input");
  input
      ->add_option("--recipe", t.recipe,
                   "A built-in recipe (pr598, pr668, pr1004, pr1232, nano, ...) or a TOML file")
      ->type_name("NAME|FILE");
  input
      ->add_option("--set", t.overrides,
                   "Override a value of the recipe, by its dotted key; repeatable")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  input
      ->add_option("--data", t.data,
                   "Training shards: files, globs, or folders, which mean their *_train_* shards")
      ->type_name("PATH");
  input
      ->add_option("--val", t.validation,
                   "Validation shards: files, globs, or folders, which mean their *_val_* shards")
      ->type_name("PATH");
  input
      ->add_option("--tokenizer", t.tokenizer,
                   "SentencePiece model of the shards: for bits per byte, and for golf-pack; "
                   "default: tokenizer.model beside the shards")
      ->type_name("MODEL");
  input->add_option("--init", t.init, "Start from these weights")->type_name("SAFETENSORS");
  input->add_flag("--skip-bad-shards", t.skip_bad_shards,
                  "Leave damaged shards out instead of stopping");

  auto* output = app.add_option_group("Output");
  output->add_option("--out", t.out, "Folder for checkpoints, log.jsonl and TensorBoard events")
      ->type_name("DIR");
  output->add_flag("--resume", f.resume,
                   "Go on from the newest checkpoint in --out, or start there");
  output->add_flag("--fresh", f.fresh, "Delete what earlier runs left in --out")
      ->excludes("--resume");
  AddCount(*output, "--checkpoint-every", t.checkpoint_steps, "Save every N steps")->type_name("N");
  t.checkpoint_minutes = 10;
  AddReal(*output, "--checkpoint-minutes", t.checkpoint_minutes, "Save every M minutes")
      ->capture_default_str()
      ->type_name("M");
  AddCount(*output, "--keep", t.keep, "Checkpoints kept", {.lowest = 1})
      ->capture_default_str()
      ->type_name("K");
  output->add_option("--export", t.export_path, "Write the final weights")
      ->type_name("SAFETENSORS");
  const std::map<std::string, ExportedWeights> weights = {{"ema", ExportedWeights::kEma},
                                                          {"raw", ExportedWeights::kRaw},
                                                          {"swa", ExportedWeights::kSwa}};
  output
      ->add_option("--export-weights", t.export_weights,
                   "Which are final, to be exported or calibrated: ema (default), raw or swa")
      ->transform(OneOf(weights))
      ->type_name("NAME");
  output
      ->add_option("--save-hessians", t.hessians,
                   "Collect the final weights' Hessians, on the clock of training, for golf-pack "
                   "--hessians")
      ->type_name("FILE");
  AddCount(*output, "--calibrate-windows", t.calibration_windows,
           "Windows of training text for --save-hessians", {1, 65536})
      ->capture_default_str()
      ->type_name("N");
  AddCount(*output, "--calibrate-every", t.calibrate_every,
           "Collect them while training: every N steps once the learning-rate factor is "
           "below 0.8, from the first windows of a step",
           {.lowest = 1})
      ->type_name("N");

  auto* how = app.add_option_group("How");
  AddCount(*how, "--steps", t.stop_after_steps,
           "Stop after step N of the schedule (to change the schedule: --set "
           "schedule.iterations=N)",
           {.lowest = 1})
      ->type_name("N");
  AddTimeLimit(*how, "--max-train-seconds", f.max_train_seconds,
               "Steps and calibration may take so long; all is written still where they take "
               "longer");
  AddOverTimeFlag(*how, f.over_time);
  how->add_option("--precision", f.precision, "fp32 or bf16; the same as --set train.precision=")
      ->check(CLI::IsMember({"fp32", "bf16"}).description(""))
      ->type_name("NAME");
  AddCount(*how, "--micro-batch", f.micro_windows,
           "Windows per pass: less memory with fewer; the same as --set batch.micro_windows=",
           {.lowest = 1})
      ->type_name("N");
  AddThreadsFlag(*how, f.threads);
  how->add_flag(
      "--skip-bad-steps", t.skip_bad_steps,
      "Pass over a step with a NaN or infinity instead of stopping (at most 10 in a row)");
  how->add_option("--evaluate", f.evaluate,
                  "Train nothing: validate the weights of this checkpoint or safetensors file, "
                  "which must fit the recipe exactly")
      ->type_name("FILE");
  how->add_option("--evaluate-weights", f.evaluate_weights,
                  "Which of a checkpoint: ema (where there is one), raw or swa")
      ->check(CLI::IsMember({"ema", "raw", "swa"}).description(""))
      ->type_name("NAME");
  how->add_flag("--dry-run", f.dry_run, "Print plan, parameters and peak memory; train nothing");
  how->add_flag("--print-recipe", f.print_recipe, "Print the recipe with all overrides as TOML");
  AddOutputFlags(app, f.output);
}

// Shows progress on stderr and collects the summary.
class Reporter : public TrainingObserver {
 public:
  explicit Reporter(const OutputFlags& output) : output_(output) {}

  void Start(const TrainingRun& run) {
    const uint64_t tokens = run.recipe().train.batch.tokens;
    last_step_ = run.last_step();
    step_ = summary_.first_step = run.trainer().step();
    progress_.emplace("train", last_step_ * tokens, "tokens", output_, step_ * tokens);
  }

  bool Proceed(uint64_t targets_done) override {
    if (progress_) progress_->Update(targets_done, note_);
    return !StopRequested();
  }

  void Stepped(const StepReport& report, double tokens_per_second) override {
    step_ = report.step + 1;
    summary_.last = {report.loss_nats, tokens_per_second};
    note_ = fmt::format("step {}/{}, loss {:.4f}{}, memory {} bytes", step_, last_step_,
                        report.loss_nats, validation_note_, Grouped(PeakResidentBytes()));
  }

  void Validated(uint64_t step, const char* weights, const ValidationResult& result) override {
    summary_.validation[weights] = result;
    validation_note_ = fmt::format(", validation {:.4f}", result.loss_nats);
    std::string line = fmt::format("validation after {} steps, {} weights: {:.4f} nats", step,
                                   weights, result.loss_nats);
    if (result.bits_per_byte) line += fmt::format(", {:.4f} bits per byte", *result.bits_per_byte);
    Say(line);
  }

  void Calibrated(uint64_t tokens, double seconds) override {
    Say(fmt::format("Hessians of {} tokens in {}", Grouped(tokens), Duration(seconds)));
  }

  void Noted(const std::string& text) override { Say(text); }
  void Warned(const std::string& text) override { Warn(text); }

  void Finish() {
    if (progress_ && summary_.last) progress_->Finish();
  }
  const TrainingSummary& summary() const { return summary_; }

 private:
  void Say(const std::string& line) const {
    if (!output_.json && !output_.quiet) golf::Say(line);
  }

  OutputFlags output_;
  std::optional<Progress> progress_;
  TrainingSummary summary_;
  uint64_t step_ = 0, last_step_ = 0;
  std::string note_, validation_note_;
};

Status PrintRecipe(const TrainingOptions& options) {
  if (options.recipe.empty()) return {Code::kUsage, "--print-recipe needs --recipe"};
  GOLF_ASSIGN(const Recipe recipe, LoadRecipe(options.recipe, options.overrides));
  PrintText(recipe.text);
  return {};
}

Status Evaluate(const Flags& f, ProcessGroup& group) {
  const TrainingOptions& t = f.training;
  if (t.validation.empty()) return {Code::kUsage, "--evaluate needs --val: validation shards"};
  if (!t.data.empty() || !t.out.empty() || !t.init.empty() || !t.export_path.empty()) {
    return {Code::kUsage,
            "--evaluate trains and writes nothing; leave --data, --out, --init and --export out"};
  }
  if (f.threads > 0) SetThreads(f.threads);
  StopRequested();  // from here on a signal ends the pass
  GOLF_ASSIGN(const KernelTable* kernels, CpuKernels());
  const EvaluationOptions options = {f.evaluate,  f.evaluate_weights, t.recipe,
                                     t.overrides, t.validation,       t.tokenizer};
  GOLF_ASSIGN(const EvaluatedWeights evaluated,
              EvaluateWeights(
                  *kernels, options, [] { return !StopRequested(); }, group));
  for (const std::string& warning :
       group.rank() == 0 ? evaluated.warnings : std::vector<std::string>())
    Warn(warning);
  const nlohmann::ordered_json result = DescribeEvaluation(evaluated);
  PrintText(f.output.json ? DumpJson(result, 2) + "\n" : EvaluationText(evaluated));
  return {};
}

// Rank 0 writes. The folder is made first: files may be wanted in it.
Status CheckFiles(const TrainingOptions& t) {
  std::vector<NamedPath> outputs = {{"--export", t.export_path}, {"--save-hessians", t.hessians}};
  if (!t.out.empty()) {
    std::error_code unknown;
    std::filesystem::create_directories(t.out, unknown);  // OutputFolder says what is wrong
    for (const NamedPath& output : outputs) {
      const auto at = std::filesystem::path(output.path);
      const auto folder = at.has_parent_path() ? at.parent_path() : ".";
      if (!OutputFolder::IsReserved(at.filename().string()) ||
          !std::filesystem::equivalent(folder, t.out, unknown))
        continue;
      return {Code::kUsage, fmt::format("{} {} is a name of --out's own files; choose another",
                                        output.name, output.path)};
    }
  }
  std::vector<NamedPath> inputs = NamedPaths("--data", t.data);
  for (const NamedPath& path : NamedPaths("--val", t.validation)) inputs.push_back(path);
  inputs.insert(inputs.end(),
                {{"--recipe", t.recipe}, {"--tokenizer", t.tokenizer}, {"--init", t.init}});
  return CheckOutputs(outputs, inputs);
}

Status Train(Flags& f, ProcessGroup& group) {
  TrainingOptions& options = f.training;
  if (!f.precision.empty()) options.overrides.push_back("train.precision=" + f.precision);
  if (f.micro_windows > 0) {
    options.overrides.push_back(fmt::format("batch.micro_windows={}", f.micro_windows));
  }
  if (f.print_recipe) return PrintRecipe(options);
  if (!f.evaluate.empty()) return Evaluate(f, group);
  if (!f.evaluate_weights.empty())
    return {Code::kUsage, "--evaluate-weights says which weights of --evaluate FILE; give both"};
  if (options.data.empty()) return {Code::kUsage, "--data is needed: training shards"};
  if (options.out.empty() && !f.dry_run)
    return {Code::kUsage, "--out is needed: a folder for checkpoints"};
  if (f.dry_run) options.out.clear();
  if (f.resume) options.start = StartMode::kResume;
  if (f.fresh) options.start = StartMode::kFresh;
  if (group.rank() == 0) GOLF_TRY(CheckFiles(options));
  if (f.threads > 0) SetThreads(f.threads);
  options.stop = &StopRequested();

  GOLF_ASSIGN(const KernelTable* kernels, CpuKernels());
  Reporter reporter(f.output);
  GOLF_ASSIGN(const std::unique_ptr<TrainingRun> run,
              TrainingRun::Prepare(*kernels, options, reporter, group));
  if (f.dry_run) {
    GOLF_ASSIGN(const nlohmann::ordered_json plan, DescribePlan(*run));
    PrintText(f.output.json ? DumpJson(plan, 2) + "\n"
                            : PlanText(plan, run->trainer().executor().PlanTable()));
    return {};
  }
  reporter.Start(*run);
  SaveBeforeStopping();  // from here on a signal ends with a checkpoint
  const Status status = run->Run();
  reporter.Finish();
  // A trained network is reported even if a file of it cannot be written.
  if (!status.ok() && !(status.code() == Code::kIo && run->Finished())) return status;
  nlohmann::ordered_json result = DescribeResult(*run, reporter.summary());
  const double seconds = run->train_seconds() + run->calibration_seconds();
  if (f.max_train_seconds) {
    result["max_train_seconds"] = *f.max_train_seconds;
    result["over_time"] = seconds > *f.max_train_seconds;
  }
  PrintText(f.output.json ? DumpJson(result, 2) + "\n" : ResultText(result));
  GOLF_TRY(status);
  if (group.rank() > 0) return {};  // rank 0's clock counts
  return CheckSeconds("training", seconds, "--max-train-seconds", f.max_train_seconds, f.over_time);
}

int Main(int argc, char** argv) {
  CLI::App app{"Trains a network from a recipe and token shards."};
  app.footer(
      "Example:\n"
      "  golf-train --recipe nano --data 'data/golf_train_*.bin' --val 'data/golf_val_*.bin' --out "
      "run");
  Flags flags;
  AddFlags(app, flags);
  return RunTogether(app, argc, argv, flags.output,
                     [&](ProcessGroup& group) { return Train(flags, group); });
}

}  // namespace
}  // namespace golf

int main(int argc, char** argv) { return golf::Main(argc, argv); }
