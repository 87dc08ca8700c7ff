#include "tests/bench/network_bench.h"

#include <fmt/format.h>

#include <functional>
#include <string>

#include "kernels/base/check.h"
#include "runtime/ttt_trainer.h"
#include "schemas/program_generated.h"
#include "tests/bench/bench.h"
#include "tests/bench/peak.h"
#include "tests/bench/stopwatch.h"
#include "tests/bench/useful_work.h"
#include "trainer/initialise.h"
#include "trainer/network.h"

namespace golf::bench {
namespace {

constexpr size_t kStride = 64;
constexpr size_t kChunkTokens = 32'768;

// PR 598's network, and text for it.
struct Subject {
  const KernelTable& table;
  NetworkConfig config;
  std::unique_ptr<schema::ProgramT> program = BuildNetwork(config);
  TensorSet weights = InitialWeights(config, *program, 1);

  explicit Subject(const KernelTable& kernels) : table(kernels) {}

  std::vector<int32_t> Tokens(size_t n) const {
    std::minstd_rand random(7);
    std::vector<int32_t> ids(n);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % program->vocab_size);
    return ids;
  }
};

// One kind of pass: its useful work, and how to run it once.
struct Pass {
  std::string name;
  double flops;
  double limit;  // the least share of the peak that is good enough
  std::function<void()> run;
};

template <class T>
T Must(Result<T> result) {
  GOLF_CHECK(result.ok());
  return std::move(*result);
}

Pass ScorePass(Subject& subject, Precision precision, size_t batch, double limit) {
  ExecutorOptions options{
      .mode = Mode::kScore, .precision = precision, .batch = batch, .scored_rows = kStride};
  const size_t window = subject.program->window;
  std::shared_ptr<Executor> executor =
      Must(Executor::Create(subject.table, *subject.program, subject.weights, options));
  const Plan plan = PlanOf(subject.table, *subject.program, options);
  const double flops = UsefulWorkOf(*subject.program, plan, options).forward;
  return {
      fmt::format("sliding score, {} window(s) of {}, stride {}", batch, window, kStride), flops,
      limit,
      [executor, ids = subject.Tokens(batch * window), targets = subject.Tokens(batch * kStride),
       first = std::vector<uint32_t>(batch, static_cast<uint32_t>(window - kStride)),
       nll = std::vector<float>(batch * kStride)]() mutable {
        executor->Score(ids, first, targets, nll);
      }};
}

Pass TrainPass(Subject& subject, Precision precision, size_t batch, double limit) {
  ExecutorOptions options{.mode = Mode::kTrain, .precision = precision, .batch = batch};
  const size_t tokens = batch * subject.program->window;
  std::shared_ptr<Executor> executor =
      Must(Executor::Create(subject.table, *subject.program, subject.weights, options));
  const Plan plan = PlanOf(subject.table, *subject.program, options);
  const UsefulWork work = UsefulWorkOf(*subject.program, plan, options);
  fmt::print("(a training pass of {} window(s) plans {} bytes, {} of them activations)\n", batch,
             executor->arena_bytes(), plan.arena_bytes);
  return {fmt::format("train, micro-batch of {} window(s)", batch), work.forward + work.backward,
          limit,
          [executor, ids = subject.Tokens(tokens), targets = subject.Tokens(tokens),
           gradients = std::make_shared<TensorSet>(subject.weights.SameLayout())]() mutable {
            executor->Train(ids, targets, 1.0F, *gradients);
          }};
}

// Gradients, clipping, update and packing of the weights, as golf-run's preset for this network does it.
Pass TttPass(Subject& subject, Precision precision, double limit) {
  TttOptions ttt = Must(TttPreset("pr598"));
  ttt.epochs = 1;
  ttt.lr = 0;  // the weights are everyone's
  const auto factory = ExecutorsOf(subject.table, *subject.program, subject.weights);
  const size_t window = subject.program->window;
  auto trainer = std::make_shared<TttTrainer>(
      Must(TttTrainer::Create(subject.table, factory, subject.weights, ttt, window, precision)));
  std::vector<uint16_t> text;
  for (const int32_t id : subject.Tokens(kChunkTokens + 1))
    text.push_back(static_cast<uint16_t>(id));
  auto stream = std::make_shared<TokenStream>(
      Must(TokenStream::FromTokens(std::move(text), subject.program->vocab_size)));

  ExecutorOptions options{.mode = Mode::kTrain, .precision = precision};
  options.trainable = Must(SelectTrainable(ttt.trainable, subject.weights));
  const Plan plan = PlanOf(subject.table, *subject.program, options);
  const UsefulWork work = UsefulWorkOf(*subject.program, plan, options);
  const size_t windows = kChunkTokens / window;
  const double flops = (work.forward + work.backward) * static_cast<double>(windows);
  return {fmt::format("TTT epoch, {} tokens", kChunkTokens), flops, limit, [trainer, stream] {
            const EvalStep step{EvalStep::Kind::kTrain, 0, kChunkTokens, 0, 0};
            GOLF_CHECK(trainer->Train(*stream, step, [](const auto&) { return Status(); }).ok());
          }};
}

// oneDNN's product of one element type with B packed beforehand, and with both operands row-major.
struct Yardstick {
  explicit Yardstick(Element element)
      : packed(OneDnnPeak::Make(element, true)), plain(OneDnnPeak::Make(element, false)) {}

  void Measure() {
    if (packed) packed_rate = packed->Measure();
    if (plain) plain_rate = plain->Measure();
  }

  std::unique_ptr<OneDnnPeak> packed, plain;  // null: oneDNN has none on this processor
  Rate packed_rate, plain_rate;
};

std::string Share(double rate, double peak) {
  return peak > 0 ? fmt::format("{:.2f}", rate / peak) : "-";
}

void Row(const Pass& pass, int rounds, Yardstick& one_dnn) {
  Seconds best;
  pass.run();  // pages and caches
  for (int i = 0; i < rounds; ++i) {
    one_dnn.Measure();
    const Stopwatch watch;
    pass.run();
    best.KeepShortest(watch.elapsed());
  }
  const double wall = pass.flops / best.wall, cpu = pass.flops / best.cpu;
  const Rate &packed = one_dnn.packed_rate, &plain = one_dnn.plain_rate;
  fmt::print("{:<42} {:>9.1f} {:>9.1f} {:>8.0f} {:>8} {:>8} {:>8} {:>8} {:>6.2f}\n", pass.name,
             best.wall * 1e3, best.cpu * 1e3, cpu * 1e-9, Share(wall, packed.per_wall_second),
             Share(cpu, packed.per_cpu_second), Share(wall, plain.per_wall_second),
             Share(cpu, plain.per_cpu_second), pass.limit);
  std::fflush(stdout);
}

}  // namespace

void NetworkRows(const KernelTable& table, int rounds, const std::string& filter) {
  for (const Precision precision : {Precision::kBf16, Precision::kFp32}) {
    const bool bf16_rows = precision == Precision::kBf16;
    const std::string type = bf16_rows ? "bf16" : "fp32";
    const Element element = bf16_rows ? Element::kBf16 : Element::kFloat;
    const double train_limit = bf16_rows ? 0.60 : 0.75;
    Yardstick one_dnn(element);
    const auto row = [&](const std::string& name, const auto& make) {
      if (fmt::format("{} {}", type, name).find(filter) == std::string::npos) return;
      Subject subject(table);  // one pass's memory at a time
      Row(make(subject), rounds, one_dnn);
    };
    fmt::print("\n{:<42} {:>9} {:>9} {:>8} {:>17} {:>17} {:>6}\n", type, "wall ms", "CPU ms",
               "GF/CPU s", "share of packed", "of row-major", "limit");
    fmt::print("{:<42} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "", "", "", "", "wall", "CPU",
               "wall", "CPU");
    for (const size_t batch : {1, 4}) {
      row("score",
          [&](Subject& s) { return ScorePass(s, precision, batch, bf16_rows ? 0.70 : 0.75); });
    }
    for (const size_t batch : {1, 4}) {
      row("train", [&](Subject& s) { return TrainPass(s, precision, batch, train_limit); });
    }
    row("TTT", [&](Subject& s) { return TttPass(s, precision, train_limit); });
    if (!one_dnn.packed || !one_dnn.plain) {
      fmt::print("oneDNN has no {} product on this processor: no shares of it\n", type);
      continue;
    }
    one_dnn.Measure();
    const Rate &packed = one_dnn.packed_rate, &plain = one_dnn.plain_rate;
    fmt::print(
        "oneDNN's product: B packed beforehand {:.0f} GFLOP per second ({:.0f} per CPU second), "
        "row-major {:.0f} ({:.0f})\n",
        packed.per_wall_second * 1e-9, packed.per_cpu_second * 1e-9, plain.per_wall_second * 1e-9,
        plain.per_cpu_second * 1e-9);
  }
}

}  // namespace golf::bench
