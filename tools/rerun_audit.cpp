#include "tools/rerun_audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "artifact/json.h"
#include "kernels/table.h"
#include "runtime/audit_log.h"
#include "runtime/evaluate.h"
#include "runtime/hidden_offset.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kWindowsPerPass = 32;  // no score depends on it

// What the header says, made again from the files.
struct Setup {
  RunFacts facts;
  const KernelTable* kernels = nullptr;
  std::unique_ptr<schema::ProgramT> program;
  TensorSet weights;
  TokenStream stream;
  std::optional<WindowList> windows;

  ScorerOptions scoring() const {
    return {facts.rule, kWindowsPerPass, facts.precision, stream.targets(), &StopRequested()};
  }
};

Result<TokenStream> OpenStream(const RerunSubject& subject, const RunFacts& facts,
                               uint32_t vocabulary) {
  GOLF_ASSIGN(TokenStream stream,
              TokenStream::Open(subject.shard_paths, vocabulary, facts.limit_tokens.value_or(0)));
  if (facts.rule.tail != Tail::kOnce) GOLF_TRY(stream.CutToWholeWindows(facts.rule.length));
  for (size_t i = 0; i < stream.shards().size(); ++i) {
    if (i >= facts.shards.size() || stream.shards()[i].sha256 != facts.shards[i].sha256)
      return Status(Code::kBadData, "the shards changed while the log was verified");
  }
  return stream;
}

Result<Setup> Prepare(const RerunSubject& subject) {
  Setup setup;
  GOLF_ASSIGN(const Json header,
              ParseJson<Json>(std::string_view(subject.log).substr(0, subject.log.find('\n'))));
  GOLF_ASSIGN(setup.facts, RunFactsOf(header));
  GOLF_ASSIGN(setup.kernels, CpuKernels());
  if (setup.facts.kernels != setup.kernels->instructions) {
    return Status(Code::kNoDevice,
                  fmt::format("{}: the run used the kernels {}, this process uses {}; GOLF_CPU={} "
                              "chooses them where the processor has the instructions",
                              subject.name, setup.facts.kernels, setup.kernels->instructions,
                              setup.facts.kernels));
  }
  GOLF_ASSIGN(setup.program, ParseProgram(subject.artifact.program_bytes()));
  GOLF_ASSIGN(setup.weights, TensorSet::From(*setup.program, subject.artifact.tensors()));
  if (setup.facts.ttt && setup.facts.ttt->hidden_offset)
    GOLF_TRY(AddHiddenOffset(*setup.program, setup.weights));
  GOLF_ASSIGN(setup.stream, OpenStream(subject, setup.facts, setup.program->vocab_size));
  GOLF_ASSIGN(setup.windows, MakeWindows(setup.facts.rule, setup.stream.targets()));
  return setup;
}

Status Interrupted() {
  if (!StopRequested()) return {};
  return {Code::kInterrupted, "stopped by a signal; the scores were not compared to the end"};
}

class RerunProgress : public EvalObserver {
 public:
  RerunProgress(uint64_t windows, const OutputFlags& output)
      : progress_("scoring again", windows, "windows", output) {}
  Status Scored(const ScoredWindow&) override {
    progress_.Update(++done_);
    return Interrupted();
  }
  Status Updated(const TrainUpdate&) override { return Interrupted(); }

 private:
  uint64_t done_ = 0;
  Progress progress_;
};

// Takes the records of the rerun, and fails at the first that is not the log's.
class LogComparison : public AuditRecords {
 public:
  LogComparison(const RerunSubject& subject, const RunFacts& facts)
      : AuditRecords(facts.artifact_sha256), subject_(subject), made_by_(facts.golf) {
    StartBehind(std::string(NextLine()));
  }

 private:
  std::string_view NextLine() {
    ++line_;
    const std::string_view rest = std::string_view(subject_.log).substr(at_);
    const std::string_view line = rest.substr(0, rest.find('\n'));
    at_ += std::min(line.size() + 1, rest.size());
    return line;
  }

  Status Take(const std::string& made) override {
    const std::string_view logged = NextLine();
    if (made == logged) return {};
    std::string text =
        fmt::format("{}, line {}: the rerun gives another record", subject_.name, line_);
    const Result<Json> old = ParseJson<Json>(logged), now = ParseJson<Json>(made);
    if (old.ok() && now.ok()) {
      for (const auto& [key, value] : now->items()) {
        const Json* before = JsonField(*old, key);
        if (before != nullptr && *before == value) continue;
        text += fmt::format(": {} is {}, the rerun gives {}", key,
                            before == nullptr ? "missing" : DumpJson(*before), DumpJson(value));
        break;
      }
    }
    if (made_by_ != GOLF_VERSION)
      text += fmt::format(" (the run was golf {}, this is golf {})", made_by_, GOLF_VERSION);
    return {Code::kBadData, text};
  }

  const RerunSubject& subject_;
  const std::string made_by_;
  size_t at_ = 0, line_ = 0;
};

}  // namespace

Status RerunAll(const RerunSubject& subject, const OutputFlags& output, ProcessGroup& group) {
  GOLF_ASSIGN(Setup setup, Prepare(subject));
  const RunFacts& facts = setup.facts;
  if (facts.ttt && facts.processes != group.size()) {
    return {Code::kUsage,
            fmt::format("{}: {} processes added up the gradients of this run, and here is {}; "
                        "start the rerun with mpirun -n {}",
                        subject.name, facts.processes, group.size(), facts.processes)};
  }
  const ExecutorFactory factory = ExecutorsOf(*setup.kernels, *setup.program, setup.weights);
  const std::vector<EvalStep> steps =
      facts.ttt ? ScoreFirst(*setup.windows, setup.stream.targets(), facts.rule.length, *facts.ttt)
                : ScoreOnly(*setup.windows);
  WindowScorer scorer(factory, setup.scoring(), group);
  std::optional<TttTrainer> trainer;
  if (facts.ttt) {
    GOLF_ASSIGN(trainer, TttTrainer::Create(*setup.kernels, factory, setup.weights, *facts.ttt,
                                            facts.rule.length, facts.precision, group));
  }
  RerunProgress progress(setup.windows->size(), output);
  LogComparison comparison(subject, facts);
  std::vector<EvalObserver*> observers = {&progress};
  if (group.rank() == 0) observers.push_back(&comparison);
  const Evaluation evaluation{setup.stream, subject.artifact.byte_table(), *setup.windows, steps};
  GOLF_TRY(Evaluate(evaluation, scorer, trainer ? &*trainer : nullptr, observers).status());
  return group.rank() == 0 ? comparison.End() : Status();
}

Result<uint64_t> RerunSample(const RerunSubject& subject, uint64_t windows,
                             const OutputFlags& output, ProcessGroup& group) {
  GOLF_ASSIGN(Setup setup, Prepare(subject));
  // At random, so that nobody can know beforehand where a forged score goes unseen.
  GOLF_ASSIGN(const unsigned seed, group.OfRankZero(std::random_device()()));
  std::vector<AuditReport::Score> records = subject.report.before_training;
  std::ranges::shuffle(records, std::mt19937(seed));
  WindowScorer scorer(ExecutorsOf(*setup.kernels, *setup.program, setup.weights), setup.scoring(),
                      group);
  Progress progress("scoring again", windows, "windows", output);
  uint64_t scored = 0;
  std::vector<float> nll;
  for (const AuditReport::Score& record : records) {
    if (scored >= windows) break;
    double sum = 0;
    const std::vector<Window> all =
        setup.windows->Slice(record.first_window, record.first_window + record.windows);
    for (std::span<const Window> rest = all; !rest.empty();) {
      GOLF_TRY(Interrupted());
      const auto batch = rest.first(scorer.NextBatch(rest));
      GOLF_TRY(scorer.Score(setup.stream, batch, nll));
      for (const float x : nll) sum += static_cast<double>(x);
      rest = rest.subspan(batch.size());
      progress.Update(scored += batch.size());
    }
    if (sum != record.nll_nats) {
      return Status(Code::kBadData,
                    fmt::format("{}, line {}: the NLL sum is {}, scored again it is {}",
                                subject.name, record.line + 1, record.nll_nats, sum));
    }
  }
  return scored;
}

}  // namespace golf
