// Where the time of a training pass goes: runs the calls of its steps one by one.
#include <fmt/format.h>

#include <map>
#include <numeric>
#include <string>

#include "kernels/base/check.h"
#include "runtime/operations.h"
#include "runtime/step_calls.h"
#include "schemas/program_generated.h"
#include "tests/bench/network_bench.h"
#include "tests/bench/stopwatch.h"
#include "tests/bench/useful_work.h"
#include "trainer/initialise.h"

namespace golf::bench {
namespace {

struct Share {
  Seconds forward{0, 0}, backward{0, 0};
  UsefulWork work;
};

// All windows start at 0 and all rows count.
template <class T>
class Profile {
 public:
  Profile(const KernelTable& table, const schema::ProgramT& program, const TensorSet& weights)
      : program_(program),
        gradients_(weights.SameLayout()),
        options_{.mode = Mode::kTrain,
                 .precision = sizeof(T) == 2 ? Precision::kBf16 : Precision::kFp32},
        plan_(PlanOf(table, program, options_)),
        arena_(AllocateAligned(plan_.arena_bytes)),
        ids_(plan_.length),
        positions_(plan_.length),
        zero_{0} {
    for (size_t i = 0; i < ids_.size(); ++i) ids_[i] = static_cast<int32_t>(i * 7919 % 1024);
    std::iota(positions_.begin(), positions_.end(), 0);
    operands_.arena = arena_.get();
    operands_.weights = &weights;
    operands_.trainable = options_.trainable;
    operands_.ids = operands_.targets = ids_.data();
    operands_.position = operands_.wanted_position = operands_.wanted_row = positions_.data();
    operands_.first_row = operands_.first_row_zero = zero_;
    operands_.gradients = &gradients_;
    operands_.loss_gradient = 1.0F / static_cast<float>(ids_.size());
    calls_ = MakeStepCalls<T>(table, program, plan_, operands_);
    packed_ = AllocateAligned(calls_.packed_bytes);
    scratch_ = AllocateAligned(calls_.gemm_scratch_bytes);
    operands_.packed_weights = packed_.get();
    operands_.gemm_scratch = scratch_.get();
    for (const PackedWeight& p : calls_.packed_weights) {
      std::vector<T> rounded(weights[p.weight].size());
      for (size_t i = 0; i < rounded.size(); ++i) rounded[i] = FromFloat<T>(weights[p.weight][i]);
      p.product->Pack(rounded.data(), packed_.get() + p.offset, scratch_.get());
    }
  }

  // By operation name.
  std::map<std::string, Share> Run(int rounds) {
    std::map<std::string, Share> shares;
    std::vector<Seconds> forward(calls_.forward.size()), backward(forward.size());
    for (int round = 0; round <= rounds; ++round) {
      for (size_t s = 0; s < forward.size(); ++s) Time(calls_.forward[s], forward[s]);
      for (size_t s = forward.size(); s-- > 0;) Time(calls_.backward[s], backward[s]);
    }
    for (size_t s = 0; s < forward.size(); ++s) {
      Share& share = shares[TraitsOf(*program_.steps[s]).name];
      const UsefulWork work = UsefulWorkOf(program_, plan_, options_, s);
      Add(share.forward, forward[s]);
      if (calls_.backward[s]) Add(share.backward, backward[s]);
      share.work.forward += work.forward;
      share.work.backward += work.backward;
    }
    return shares;
  }

 private:
  static void Time(const std::function<void()>& call, Seconds& best) {
    if (!call) return;
    const Stopwatch watch;
    call();
    best.KeepShortest(watch.elapsed());
  }
  static void Add(Seconds& sum, Seconds part) {
    sum.wall += part.wall;
    sum.cpu += part.cpu;
  }

  const schema::ProgramT& program_;
  TensorSet gradients_;
  ExecutorOptions options_;
  const Plan plan_;
  AlignedBytes arena_, packed_, scratch_;
  std::vector<int32_t> ids_, positions_;
  uint32_t zero_[1];
  StepOperands operands_;
  StepCalls calls_;
};

template <class T>
void Rows(const KernelTable& table, int rounds) {
  const NetworkConfig config;
  const auto program = BuildNetwork(config);
  const TensorSet weights = InitialWeights(config, *program, 1);
  Profile<T> profile(table, *program, weights);
  fmt::print("\n{:<42} {:>21} {:>21}\n",
             fmt::format("one training pass of a window, {}", sizeof(T) == 2 ? "bf16" : "fp32"),
             "forward", "backward");
  fmt::print("{:<42} {:>10} {:>10} {:>10} {:>10}\n", "", "CPU ms", "GF/CPU s", "CPU ms",
             "GF/CPU s");
  Share sum;
  for (const auto& [name, share] : profile.Run(rounds)) {
    fmt::print("{:<42} {:>10.2f} {:>10.0f} {:>10.2f} {:>10.0f}\n", name, share.forward.cpu * 1e3,
               share.work.forward / share.forward.cpu * 1e-9, share.backward.cpu * 1e3,
               share.work.backward / share.backward.cpu * 1e-9);
    sum.forward.cpu += share.forward.cpu;
    sum.backward.cpu += share.backward.cpu;
    sum.work.forward += share.work.forward;
    sum.work.backward += share.work.backward;
  }
  fmt::print("{:<42} {:>10.2f} {:>10.0f} {:>10.2f} {:>10.0f}\n", "all", sum.forward.cpu * 1e3,
             sum.work.forward / sum.forward.cpu * 1e-9, sum.backward.cpu * 1e3,
             sum.work.backward / sum.backward.cpu * 1e-9);
}

}  // namespace

void ProfileRows(const KernelTable& table, int rounds, const std::string& filter) {
  if (std::string("bf16").find(filter) != std::string::npos) Rows<bf16>(table, rounds);
  if (std::string("fp32").find(filter) != std::string::npos) Rows<float>(table, rounds);
}

}  // namespace golf::bench
