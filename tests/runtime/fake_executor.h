// A network that costs nothing: NLL of a row = a(prefix, target) + w * b(prefix), where a and b are hashes of the window's
// tokens up to that row and w is its only trained weight. So scores are causal, depend on the whole context, and training
// changes them.
#pragma once
#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "kernels/base/check.h"
#include "runtime/plan_cache.h"
#include "schemas/program_generated.h"

namespace golf::test {

// Weights "w" (trained by the fake) and "blocks.0.idle" (in no formula).
inline TensorSet FakeWeights() {
  schema::ProgramT program;
  for (const char* name : {"w", "blocks.0.idle"}) {
    auto weight = std::make_unique<schema::WeightT>();
    weight->name = name;
    program.weights.push_back(std::move(weight));
  }
  return TensorSet(program);
}

// What the fakes of one factory were asked for.
struct FakeCalls {
  std::set<std::pair<size_t, size_t>> plans;  // (batch, scored rows)
  size_t score_passes = 0, train_passes = 0, takeovers = 0;
  bool fake_quantised_training = false;
  // Training passes from this one on return NaN.
  double nan_from_loss = std::numeric_limits<double>::infinity();
};

class FakeExecutor : public Executor {
 public:
  FakeExecutor(const ExecutorOptions& options, const TensorSet& weights, FakeCalls& calls)
      : options_(options), weights_(weights), calls_(calls) {}

  void WeightsChanged(std::optional<FakeQuant> fake_quant) override {
    w_ = weights_[0][0];
    ++calls_.takeovers;
    if (options_.mode == Mode::kTrain && fake_quant) calls_.fake_quantised_training = true;
  }

  void Score(std::span<const int32_t> ids, std::span<const uint32_t> first_row,
             std::span<const int32_t> targets, std::span<float> nll) override {
    const size_t rows = options_.scored_rows == 0 ? options_.length : options_.scored_rows;
    GOLF_CHECK(ids.size() == options_.batch * options_.length &&
               nll.size() == options_.batch * rows);
    ++calls_.score_passes;
    for (size_t b = 0; b < options_.batch; ++b) {
      for (size_t q = 0; q < rows; ++q) {
        const auto prefix = ids.subspan(b * options_.length, first_row[b] + q + 1);
        nll[b * rows + q] = static_cast<float>(A(prefix, targets[b * rows + q]) + w_ * B(prefix));
      }
    }
  }

  void ScoreEveryTarget(size_t, std::span<float>) const override {}

  double Train(std::span<const int32_t> ids, std::span<const int32_t> targets, float loss_scale,
               TensorSet& gradients) override {
    double loss = 0, slope = 0;
    for (size_t b = 0; b < options_.batch; ++b) {
      for (size_t t = 0; t < options_.length; ++t) {
        const auto prefix = ids.subspan(b * options_.length, t + 1);
        loss += A(prefix, targets[b * options_.length + t]) + w_ * B(prefix);
        slope += B(prefix);
      }
    }
    const auto rows = static_cast<double>(ids.size());
    gradients[0][0] += static_cast<float>(loss_scale * slope / rows);
    if (static_cast<double>(calls_.train_passes++) >= calls_.nan_from_loss) return std::nan("");
    return loss / rows;
  }

  void Observe(std::span<const int32_t>, const Observer&) override {}
  Result<std::vector<float>> ReadValue(std::string_view) const override {
    return Status(Code::kInternal, "a fake");
  }
  size_t arena_bytes() const override { return 0; }
  std::string PlanTable() const override { return ""; }

 private:
  static double Unit(uint64_t h) {  // [0, 1)
    h = (h ^ (h >> 31)) * 0x9e3779b97f4a7c15U;
    return static_cast<double>((h ^ (h >> 29)) >> 11) * 0x1p-53;
  }
  static uint64_t Hash(std::span<const int32_t> prefix) {
    uint64_t h = 1;
    for (int32_t id : prefix) h = (h + static_cast<uint64_t>(id) + 1) * 0xbf58476d1ce4e5b9U;
    return h;
  }
  static double A(std::span<const int32_t> prefix, int32_t target) {
    return 3 + Unit(Hash(prefix) * 31 + static_cast<uint64_t>(target));
  }
  static double B(std::span<const int32_t> prefix) { return 0.5 + Unit(Hash(prefix)); }

  ExecutorOptions options_;
  const TensorSet& weights_;
  FakeCalls& calls_;
  double w_ = 0;
};

inline ExecutorFactory FakeExecutors(const TensorSet& weights, FakeCalls& calls) {
  return [&](const ExecutorOptions& options) -> Result<std::unique_ptr<Executor>> {
    calls.plans.insert({options.batch, options.scored_rows});
    return std::unique_ptr<Executor>(new FakeExecutor(options, weights, calls));
  };
}

}  // namespace golf::test
