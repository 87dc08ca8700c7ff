// golf-run: a packed artifact + token shards -> bits per byte, by sliding windows, with test-time training if wanted.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "artifact/check_tokenizer.h"
#include "artifact/dataset.h"
#include "artifact/file.h"
#include "artifact/json.h"
#include "artifact/token_shard.h"
#include "kernels/table.h"
#include "kernels/threads.h"
#include "runtime/audit_log.h"
#include "runtime/evaluate.h"
#include "runtime/hidden_offset.h"
#include "runtime/micro_batch.h"
#include "runtime/packed_network.h"
#include "runtime/receipt.h"
#include "tools/cli.h"
#include "tools/number_flags.h"
#include "tools/output_guard.h"
#include "tools/run_checks.h"
#include "tools/run_limits.h"
#include "tools/time_limit.h"
#include "tools/together.h"
#include "tools/ttt_flags.h"

namespace golf {
namespace {

using Clock = std::chrono::steady_clock;
const Clock::time_point kProgramStart = Clock::now();

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct RunFlags {
  std::string artifact;
  std::vector<std::string> shards;
  bool plain = false, print_plan = false;
  size_t stride = 64, window = 0, batch = 32, limit_tokens = 0;
  std::string protocol = "once";
  Precision precision = Precision::kFp32;
  int threads = 0;
  std::string audit, receipt, tokenizer;
  bool force = false;
  TttFlags ttt;
  CheckFlags checks;
  LimitFlags limits;
  OutputFlags output;
};

void AddFlags(CLI::App& app, RunFlags& flags) {
  const std::map<std::string, Precision> precisions = {{"fp32", Precision::kFp32},
                                                       {"bf16", Precision::kBf16}};
  app.add_option("artifact", flags.artifact, "Packed artifact")->required()->type_name("ARTIFACT");
  app.add_option(
         "shards", flags.shards,
         "Token shards: files, patterns, or folders, which mean their *_val_* shards; scored "
         "as one text")
      ->required()
      ->type_name("SHARDS");
  auto* stride =
      AddCount(app, "--stride", flags.stride, "Targets that each window scores", {.lowest = 1})
          ->capture_default_str()
          ->type_name("N");
  app.add_flag("--plain", flags.plain, "Windows side by side, each scored whole")->excludes(stride);
  AddCount(app, "--window", flags.window, "Tokens per window (default: as trained)", {.lowest = 1})
      ->type_name("N");
  app.add_option(
         "--protocol", flags.protocol,
         "once: every target counts once; reference: as the reference scripts, whole windows "
         "only, the tail scored repeatedly; reference-all: by windows shorter than the stride, "
         "too, as PR 1004 and 1232 do without --ttt")
      ->type_name("NAME")
      ->check(CLI::IsMember({"once", "reference", "reference-all"}).description(""))
      ->capture_default_str();
  AddCount(app, "--limit-tokens", flags.limit_tokens, "Use the first N tokens only", {.lowest = 2})
      ->type_name("N");
  AddCount(app, "--batch", flags.batch, "Windows per pass; changes speed and memory, not scores",
           {1, 4096})
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--precision", flags.precision, "Of matrix products: fp32 (default) or bf16")
      ->transform(OneOf(precisions))
      ->type_name("NAME");
  AddThreadsFlag(app, flags.threads);
  app.add_option("--audit", flags.audit, "Write the audit log here")->type_name("FILE");
  app.add_option("--receipt", flags.receipt, "Write the receipt here")->type_name("FILE");
  app.add_flag("--force", flags.force, "Replace files of --audit and --receipt that are there");
  app.add_option("--tokenizer", flags.tokenizer,
                 "The SentencePiece model: the artifact's byte table has to be computed from it")
      ->type_name("MODEL");
  app.add_flag("--print-plan", flags.print_plan,
               "Print the plan of a full batch and its memory; score nothing");
  AddTttFlags(app, flags.ttt);
  AddCheckFlags(app, flags.checks);
  AddLimitFlags(app, flags.limits);
  AddOutputFlags(app, flags.output);
}

// Progress in units of a window's forward pass; an update's backward costs about two more.
class ProgressObserver : public EvalObserver {
 public:
  ProgressObserver(const RunFlags& flags, const RunFacts& facts, const WindowList& windows,
                   std::span<const EvalStep> steps)
      : update_cost_(0),
        progress_(facts.ttt ? "scoring and training" : "scoring", Total(facts, windows, steps),
                  facts.ttt ? "window passes" : "windows", flags.output),
        max_seconds_(flags.limits.max_eval_seconds) {}

  Status Scored(const ScoredWindow& window) override {
    note_ = fmt::format("bpb {:.4f}", window.sums.bits_per_byte());
    return Advance(1);
  }
  Status Updated(const TrainUpdate&) override { return Advance(update_cost_); }

 private:
  uint64_t Total(const RunFacts& facts, const WindowList& windows,
                 std::span<const EvalStep> steps) {
    uint64_t total = windows.size();
    for (const EvalStep& step : steps) {
      if (step.kind == EvalStep::Kind::kScore) continue;
      const size_t sequences = (step.end - step.begin) / facts.rule.length;
      const size_t batch = facts.ttt->batch_sequences, updates = (sequences + batch - 1) / batch;
      update_cost_ = 3 * sequences / updates;
      total += update_cost_ * updates * facts.ttt->epochs;
    }
    return total;
  }

  Status Advance(uint64_t passes) {
    progress_.Update(done_ += passes, note_);
    if (max_seconds_ && SecondsSince(kProgramStart) > *max_seconds_) {
      Warn(fmt::format("--max-eval-seconds {:g} is exceeded; the run goes on to its score",
                       *max_seconds_));
      max_seconds_.reset();  // once
    }
    if (!StopRequested()) return {};
    return {Code::kInterrupted,
            fmt::format("stopped by a signal after {} passes; there is no score", done_)};
  }

  uint64_t done_ = 0, update_cost_;
  std::string note_;
  Progress progress_;
  std::optional<double> max_seconds_;  // until it was exceeded
};

// Keeps the first failure to write for the end of the run and asks the observer no more.
class PatientObserver : public EvalObserver {
 public:
  explicit PatientObserver(EvalObserver& observer) : observer_(observer) {}

  const Status& failed() const { return failed_; }
  Status Scored(const ScoredWindow& window) override {
    return Ask([&] { return observer_.Scored(window); });
  }
  Status Updated(const TrainUpdate& update) override {
    return Ask([&] { return observer_.Updated(update); });
  }
  Status Trained(const TrainedChunk& chunk) override {
    return Ask([&] { return observer_.Trained(chunk); });
  }

 private:
  template <class Question>
  Status Ask(const Question& question) {
    if (failed_.ok()) failed_ = question();
    if (failed_.code() == Code::kIo && !warned_) {
      Warn(failed_.message() + "; the run goes on to its score");
      warned_ = true;
    }
    return failed_.code() == Code::kIo ? Status() : failed_;
  }

  EvalObserver& observer_;
  Status failed_;
  bool warned_ = false;
};

class AdaptationCounter : public EvalObserver {
 public:
  Status Scored(const ScoredWindow& window) override {
    counts_.chunks = std::max<uint64_t>(counts_.chunks, window.chunk + 1);
    return {};
  }
  Status Trained(const TrainedChunk& chunk) override {
    ++counts_.trained_chunks;
    counts_.updates += chunk.updates.size();
    return {};
  }
  const AdaptationCounts& counts() const { return counts_; }

 private:
  AdaptationCounts counts_;
};

// The last chunk is never trained on, so a text of one chunk is only scored.
void WarnOfNoUpdates(const RunFacts& facts, std::span<const EvalStep> steps) {
  const bool trains = std::any_of(steps.begin(), steps.end(), [](const EvalStep& step) {
    return step.kind == EvalStep::Kind::kTrain;
  });
  if (trains) return;
  Warn(fmt::format(
      "test-time training makes no update: a chunk is trained on only if more text follows it, and "
      "this text has {} targets, a chunk {} (--ttt-chunk)",
      Grouped(facts.targets), Grouped(facts.ttt->chunk_tokens)));
}

struct Network {
  std::unique_ptr<schema::ProgramT> program;
  TensorSet weights;
  ByteTable byte_table;
  Provenance provenance;
  Limits limits;
};

// Reads the artifact and notes in `facts` what it is. Only packed artifacts are accepted: what is scored is what was packed.
Result<Network> LoadNetwork(const RunFlags& flags, RunFacts& facts) {
  GOLF_ASSIGN(PackedNetwork packed, ReadPackedNetwork(flags.artifact));
  const Artifact& artifact = packed.artifact;
  GOLF_TRY(CheckTokenizerFile(artifact.tokenizer(), flags.artifact, flags.tokenizer));
  facts.tokenizer_checked = !flags.tokenizer.empty();
  facts.artifact_sha256 = artifact.sha256();
  facts.artifact_path = flags.artifact;
  facts.artifact_bytes = artifact.file_bytes();
  facts.tokenizer_sha256 = artifact.tokenizer_sha256();
  Network network;
  network.program = std::move(packed.program);
  GOLF_ASSIGN(network.weights, TensorSet::From(*network.program, artifact.tensors()));
  network.byte_table = artifact.byte_table();
  network.provenance = artifact.provenance();
  GOLF_ASSIGN(network.limits, MeasureLimits(flags.limits, artifact));
  return network;
}

// Whether a limit is more than a number that the text does not reach.
bool LeavesOut(size_t limit, const TokenStream& stream, size_t shards) {
  if (stream.tokens().size() != limit) return false;
  uint64_t tokens = 0;
  for (const ShardFacts& shard : stream.shards()) tokens += shard.tokens;
  return tokens > limit || stream.shards().size() < shards;
}

Result<TokenStream> LoadStream(const RunFlags& flags, const Network& network, size_t rank,
                               RunFacts& facts) {
  GOLF_ASSIGN(const std::vector<std::string> paths, ListShards(flags.shards, Split::kValidation));
  GOLF_ASSIGN(TokenStream stream,
              TokenStream::Open(paths, network.program->vocab_size, flags.limit_tokens));
  if (LeavesOut(flags.limit_tokens, stream, paths.size())) facts.limit_tokens = flags.limit_tokens;
  GOLF_TRY(CheckTokenizerOf(stream.shards(),
                            NamedTokenizer{facts.tokenizer_sha256, facts.artifact_path}));
  GOLF_TRY(
      CheckApart(stream.shards(), network.provenance.training_shards,
                 "which the artifact was trained on; a score needs text that it has not seen"));
  GOLF_TRY(
      CheckApart(stream.shards(), network.provenance.calibration_shards,
                 "which its codes were calibrated on; a score needs text that it has not seen"));
  if (const std::string other = OtherSplit(paths, Split::kValidation); rank == 0 && !other.empty())
    Warn(other);
  GOLF_ASSIGN(const std::string miscounts, WarningOfMiscounts(stream.shards()));
  if (rank == 0 && !miscounts.empty()) Warn(miscounts);
  if (facts.rule.tail != Tail::kOnce) GOLF_TRY(stream.CutToWholeWindows(facts.rule.length));
  facts.shards = stream.shards();
  facts.stream_tokens = stream.tokens().size();
  facts.targets = stream.targets();
  return stream;
}

// What is not scored of the shards, and why.
std::string LeftOut(const RunFacts& facts) {
  uint64_t tokens = 0;
  for (const ShardFacts& shard : facts.shards) tokens += shard.tokens;
  if (facts.limit_tokens) {
    return fmt::format("a part: the first {} tokens (--limit-tokens)",
                       Grouped(facts.stream_tokens));
  }
  if (tokens == facts.stream_tokens) return fmt::format("all {} tokens", Grouped(tokens));
  return fmt::format("{} tokens, without the last {}, which fill no window (protocol {})",
                     Grouped(facts.stream_tokens), Grouped(tokens - facts.stream_tokens),
                     facts.protocol);
}

void PrintReport(const RunFacts& facts, const RunResult& result) {
  const ScoreSums& sums = result.sums;
  Print("artifact  {} bytes, sha256 {}\n", Grouped(facts.artifact_bytes), facts.artifact_sha256);
  Print("bytes     byte table {}\n", ByteTableState(facts.tokenizer_checked));
  Print("text      {}\n", LeftOut(facts));
  Print("scored    {} targets, {} bytes of text{}\n", Grouped(sums.targets), Grouped(sums.bytes),
        sums.targets > facts.targets
            ? fmt::format("; {} of them again (protocol {})", Grouped(sums.targets - facts.targets),
                          facts.protocol)
            : "");
  Print("loss      {:.6f} nats per token\n", sums.loss_nats());
  Print("bpb       {:.6f} bits per byte\n", sums.bits_per_byte());
  Print("time      {}, {} tokens/s; first window after {}; peak memory {} bytes\n",
        Duration(result.scoring_seconds),
        Rate(static_cast<double>(sums.targets) / result.scoring_seconds),
        Duration(result.startup_seconds), Grouped(result.peak_memory_bytes));
  if (result.adaptation) {
    const Result<TttOptions> preset = TttPreset(facts.ttt->preset);
    TttOptions published = preset.ok() ? *preset : TttOptions();
    published.micro_batch = facts.ttt->micro_batch;  // changes no update
    const bool as_published = published == *facts.ttt;
    Print("ttt       preset {}{}: {} updates in {} of {} chunks\n", facts.ttt->preset,
          as_published ? "" : " with other settings", Grouped(result.adaptation->updates),
          Grouped(result.adaptation->trained_chunks), Grouped(result.adaptation->chunks));
  }
  if (!result.audit_head_sha256.empty()) Print("audit     head {}\n", result.audit_head_sha256);
}

Status PrintPlan(const ExecutorFactory& factory, const RunFlags& flags, const RunFacts& facts) {
  ExecutorOptions options;
  options.precision = flags.precision;
  options.batch = flags.batch;
  const WindowRule rows = FittedTo(facts.rule, facts.targets);
  options.length = rows.length;
  options.rope_length = facts.rule.length;
  options.scored_rows = rows.stride;
  GOLF_ASSIGN(const std::unique_ptr<Executor> executor, factory(options));
  PrintText(executor->PlanTable() + "\n");
  Print("{} bytes\n", Grouped(executor->arena_bytes()));
  return {};
}

// Where the processes run on several machines, their files may not be the same.
Status CheckSameInputs(const RunFacts& facts, ProcessGroup& group) {
  const std::string inputs = DumpJson(ToJson(facts));
  return group.CheckSame(
      std::as_bytes(std::span(inputs)),
      {Code::kBadData, "has another artifact, other shards or other kernels than rank 0"});
}

bool IsLocked(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool locked = flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(descriptor);
  return locked;
}

// For a log, AuditLog::Create() decides again, under its lock.
Status CheckIsNew(const std::string& path, bool force) {
  if (path.empty()) return {};
  GOLF_ASSIGN(const Destination to, FindDestination(path));
  std::error_code error;
  if (to.descriptor >= 0 || !std::filesystem::is_regular_file(to.path, error)) return {};
  if (std::filesystem::file_size(to.path, error) == 0) return {};
  if (IsLocked(to.path))
    return {Code::kBusy, fmt::format("{}: another process writes this file", path)};
  if (force) return {};
  return {Code::kUsage,
          fmt::format("{} is there already; give another name, or --force to replace it", path)};
}

Status WriteReceipt(const RunFlags& flags, const std::string& receipt) {
  if (flags.receipt.empty()) return {};
  GOLF_TRY(CheckIsNew(flags.receipt, flags.force));  // it may have come since the run began
  return WriteFileAtomically(flags.receipt, AsBytes(receipt));
}

// Rank 0 writes.
Status CheckFiles(const RunFlags& flags) {
  std::vector<NamedPath> inputs = NamedPaths("the shards", flags.shards);
  for (const NamedPath& code : NamedPaths("--code", flags.limits.code)) inputs.push_back(code);
  inputs.insert(inputs.end(), {{"the artifact", flags.artifact},
                               {"--packing", flags.limits.packing},
                               {"--tokenizer", flags.tokenizer}});
  GOLF_TRY(CheckOutputs({{"--audit", flags.audit}, {"--receipt", flags.receipt}}, inputs));
  GOLF_TRY(CheckIsNew(flags.audit, flags.force));
  return CheckIsNew(flags.receipt, flags.force);
}

Status Run(const RunFlags& flags, ProcessGroup& group) {
  if (group.rank() == 0) GOLF_TRY(CheckFiles(flags));
  if (flags.threads > 0) SetThreads(flags.threads);
  StopRequested();
  GOLF_ASSIGN(const KernelTable* kernels, CpuKernels());
  RunFacts facts;
  GOLF_ASSIGN(Network network, LoadNetwork(flags, facts));
  if (const std::string why = WhyTooManyBytes(network.byte_table);
      group.rank() == 0 && !why.empty())
    Warn(why);
  GOLF_ASSIGN(facts.ttt, TttOptionsOf(flags.ttt, CountBlocks(network.weights)));
  if (facts.ttt && facts.ttt->hidden_offset) {
    GOLF_TRY(AddHiddenOffset(*network.program, network.weights));
  }
  facts.kernels = kernels->instructions;
  facts.processes = group.size();
  facts.precision = flags.precision;
  facts.protocol = flags.protocol;
  facts.rule.length = flags.window != 0 ? flags.window : network.program->window;
  facts.rule.stride = flags.plain ? facts.rule.length : flags.stride;
  if (facts.ttt) facts.ttt->micro_batch = MicroBatch(*facts.ttt, facts.rule.length);
  facts.rule.tail = *TailOf(flags.protocol);
  if (facts.ttt && facts.rule.tail == Tail::kRepeatAll) {
    return {Code::kUsage,
            "--protocol reference-all is for scores without test-time training; with --ttt the "
            "reference scripts have the windows of --protocol reference"};
  }
  GOLF_ASSIGN(const TokenStream stream, LoadStream(flags, network, group.rank(), facts));
  GOLF_TRY(CheckSameInputs(facts, group));
  GOLF_ASSIGN(const WindowList windows, MakeWindows(facts.rule, stream.targets()));

  const ExecutorFactory factory = ExecutorsOf(*kernels, *network.program, network.weights);
  if (flags.print_plan) return PrintPlan(factory, flags, facts);
  if (facts.ttt) GOLF_TRY(CheckTttOptions(*facts.ttt, facts.rule.length));
  const std::vector<EvalStep> steps =
      facts.ttt ? ScoreFirst(windows, stream.targets(), facts.rule.length, *facts.ttt)
                : ScoreOnly(windows);
  if (facts.ttt && group.rank() == 0) WarnOfNoUpdates(facts, steps);
  const Evaluation evaluation{stream, network.byte_table, windows, steps};
  const ScorerOptions scoring{facts.rule, flags.batch, flags.precision, stream.targets(),
                              &StopRequested()};
  if (!flags.checks.names.empty()) {
    if (group.size() > 1) return {Code::kUsage, "--check runs in one process, without mpirun"};
    return RunChecks(flags.checks, flags.output, facts,
                     {*kernels, factory, network.weights, scoring, facts.ttt,
                      network.program->vocab_size, evaluation});
  }
  WindowScorer scorer(factory, scoring, group);
  std::optional<TttTrainer> trainer;
  if (facts.ttt) {
    GOLF_ASSIGN(trainer, TttTrainer::Create(*kernels, factory, network.weights, *facts.ttt,
                                            facts.rule.length, flags.precision, group));
  }

  std::unique_ptr<AuditLog> audit;
  if (!flags.audit.empty() && group.rank() == 0) {
    GOLF_ASSIGN(audit, AuditLog::Create(flags.audit, facts, flags.force));
  }
  std::optional<ProgressObserver> progress(std::in_place, flags, facts, windows, steps);
  AdaptationCounter adaptation;
  std::vector<EvalObserver*> observers = {&*progress, &adaptation};
  std::optional<PatientObserver> patient;
  if (audit != nullptr) observers.push_back(&patient.emplace(*audit));

  RunResult result;
  result.startup_seconds = SecondsSince(kProgramStart);
  const Clock::time_point start = Clock::now();
  GOLF_ASSIGN(result.sums, Evaluate(evaluation, scorer, trainer ? &*trainer : nullptr, observers));
  progress.reset();                 // its last line comes before the results
  if (group.rank() > 0) return {};  // what follows is rank 0's to say
  result.scoring_seconds = SecondsSince(start);
  result.peak_memory_bytes = PeakMemoryBytes();
  if (facts.ttt) result.adaptation = adaptation.counts();
  Status audited = patient ? patient->failed() : Status();
  if (audit != nullptr && audited.ok()) audited = audit->Finish();
  if (audit != nullptr && audited.ok()) result.audit_head_sha256 = audit->head_sha256();
  const std::string receipt =
      DumpJson(Receipt(facts, network.limits, result, DescribePlatform(Threads())), 2) + "\n";
  // A score that took hours is printed even if it cannot be written.
  const Status written = WriteReceipt(flags, receipt);
  if (flags.output.json) {
    PrintText(receipt);
  } else {
    PrintReport(facts, result);
  }
  GOLF_TRY(audited);
  GOLF_TRY(written);
  return CheckSeconds("the evaluation", result.seconds(), "--max-eval-seconds",
                      network.limits.max_eval_seconds, flags.limits.over_time);
}

int Main(int argc, char** argv) {
  CLI::App app{
      "Scores a packed artifact on token shards: bits per byte, each target predicted from what is "
      "before it."};
  app.footer(
      "Example:\n"
      "  golf-run model.ptz 'data/golf_val_*.bin' --ttt --audit run.audit --receipt run.json");
  RunFlags flags;
  AddFlags(app, flags);
  return RunTogether(app, argc, argv, flags.output, [&](ProcessGroup& group) {
    if (group.rank() > 0) {  // rank 0's clock counts
      flags.limits.max_train_seconds.reset();
      flags.limits.max_eval_seconds.reset();
    }
    return Run(flags, group);
  });
}

}  // namespace
}  // namespace golf

int main(int argc, char** argv) { return golf::Main(argc, argv); }
