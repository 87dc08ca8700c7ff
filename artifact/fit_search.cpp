#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "artifact/fit.h"
#include "artifact/tensor_encoder.h"
#include "kernels/base/check.h"

namespace golf {
namespace {

// The largest code of each rung, half a bit apart: int8, int7.5, int7, ..., int4 and on to two codes on either side of zero.
constexpr std::array<int, 12> kRungs = {127, 90, 63, 45, 31, 22, 15, 11, 7, 5, 3, 2};

// A budget counts as used up from this share on.
constexpr double kUsedUp = 0.995;
constexpr double kLargestPrune = 0.98;
constexpr int kPruneTries = 7;
constexpr size_t kTakeBackTries = 24;

// Bytes that an entropy coder needs for the codes (or for floats: their first, second, ... bytes), and those of the scales.
double EstimatedBytes(const EncodedTensor& tensor) {
  const size_t planes = tensor.encoding.element_bytes();
  const auto total = static_cast<double>(tensor.data.size() / planes);
  double bits = 0;
  for (size_t plane = 0; plane < planes; ++plane) {
    std::array<size_t, 256> counts{};
    for (size_t i = plane; i < tensor.data.size(); i += planes) ++counts[tensor.data[i]];
    for (const size_t count : counts) {
      if (count > 0)
        bits -= static_cast<double>(count) * std::log2(static_cast<double>(count) / total);
    }
  }
  return bits / 8 + static_cast<double>(tensor.scales.size());
}

// A tensor at one rung.
struct Rung {
  EncodedTensor encoded;
  double bytes, loss;    // estimated bytes, share of error
  int largest_code = 0;  // 0: floats
};

// One step of one tensor from a rung to a lower one.
struct StepDown {
  size_t tensor, from, to;  // rungs
  double saved, price;      // estimated bytes, loss per byte
};

// The steps of one tensor along the lower convex hull of (bytes, loss): each saves bytes, each at a higher price than
// the one before.
void AppendSteps(size_t tensor, std::span<const Rung> rungs, std::vector<StepDown>& steps) {
  for (size_t at = 0; at + 1 < rungs.size();) {
    size_t best = 0;
    double best_price = INFINITY;
    for (size_t to = at + 1; to < rungs.size(); ++to) {
      const double saved = rungs[at].bytes - rungs[to].bytes;
      if (saved <= 0) continue;
      const double price = std::max(rungs[to].loss - rungs[at].loss, 0.0) / saved;
      if (price <= best_price) {
        best = to;
        best_price = price;
      }
    }
    if (best == 0) return;
    steps.push_back({tensor, at, best, rungs[at].bytes - rungs[best].bytes, best_price});
    at = best;
  }
}

class Search {
 public:
  Search(const Packing& packing, const FitTask& task)
      : task_(task), encoder_(packing, task.tensors, task.options) {}

  Result<FitResult> Run() {
    result_.level = task_.level;
    GOLF_TRY(MeasureRungs());
    if (Try(StateAfter(0))) return std::move(result_);
    const size_t estimate = StepsEstimated();
    ChooseLevel(StateAfter(estimate));

    // Invariant: `over` steps are too few, `fitting` are enough.
    size_t over = 0, fitting = steps_.size();
    if (!Try(StateAfter(fitting))) {
      GOLF_TRY(Prune(StateAfter(fitting)));
      return std::move(result_);
    }
    for (size_t at = estimate; fitting - over > 1; at = over + (fitting - over) / 2) {
      at = std::clamp(at, over + 1, fitting - 1);
      (Try(StateAfter(at)) ? fitting : over) = at;
    }
    TakeBack(fitting);
    if (static_cast<double>(best_bytes_) < kUsedUp * static_cast<double>(task_.max_bytes))
      GOLF_TRY(Prune(StateAfter(over)));
    return std::move(result_);
  }

 private:
  using State = std::vector<size_t>;  // rung of each tensor

  double prune() const { return task_.options.prune; }

  Status MeasureRungs() {
    rungs_.resize(encoder_.count());
    for (size_t i = 0; i < encoder_.count(); ++i) {
      const bool coded = encoder_.codes(i).has_value();
      if (!coded) {
        GOLF_ASSIGN(EncodedTensor floats, encoder_.Encode(i));
        const double bytes = EstimatedBytes(floats);
        rungs_[i].push_back({std::move(floats), bytes, 0, 0});
      }
      if (!coded && !encoder_.is_matrix(i)) continue;
      for (const int largest : kRungs) {
        GOLF_ASSIGN(EncodedTensor encoded,
                    encoder_.EncodeAs(i, quantisers::BestRows(-largest, largest), prune()));
        const double bytes = EstimatedBytes(encoded), loss = encoder_.ErrorShare(i, encoded);
        rungs_[i].push_back({std::move(encoded), bytes, loss, largest});
      }
      AppendSteps(i, rungs_[i], steps_);
    }
    std::stable_sort(steps_.begin(), steps_.end(),
                     [](const StepDown& a, const StepDown& b) { return a.price < b.price; });
    return {};
  }

  State StateAfter(size_t steps) const {
    State state(encoder_.count(), 0);
    for (size_t s = 0; s < steps; ++s) state[steps_[s].tensor] = steps_[s].to;
    return state;
  }

  // How many steps should be enough, by the size without any and what each saves.
  size_t StepsEstimated() const {
    auto bytes = static_cast<double>(best_bytes_);
    size_t steps = 0;
    while (steps < steps_.size() && bytes > static_cast<double>(task_.max_bytes))
      bytes -= steps_[steps++].saved;
    return steps;
  }

  // The tensors at these rungs.
  std::vector<EncodedTensor> Encoded(const State& state) const {
    std::vector<EncodedTensor> encoded;
    for (size_t i = 0; i < state.size(); ++i) encoded.push_back(rungs_[i][state[i]].encoded);
    return encoded;
  }

  // Levels are not in order of size: the smallest of a few for about what the result will be.
  void ChooseLevel(const State& state) {
    const std::vector<EncodedTensor> encoded = Encoded(state);
    uint64_t smallest = 0;
    for (const int level : {task_.level, 16, 1, 17, 2}) {
      const uint64_t bytes = task_.artifact_bytes(encoded, level);
      if (smallest != 0 && bytes >= smallest) continue;
      smallest = bytes;
      result_.level = level;
    }
  }

  bool Try(const State& state) {
    double loss = 0;
    for (size_t i = 0; i < state.size(); ++i) loss += rungs_[i][state[i]].loss;
    return Judge(state, Encoded(state), loss, prune());
  }

  // The same with a larger share of each matrix pruned.
  Result<bool> TryPruned(const State& state, double share) {
    std::vector<EncodedTensor> encoded = Encoded(state);
    double loss = 0;
    for (size_t i = 0; i < state.size(); ++i) {
      const int largest = rungs_[i][state[i]].largest_code;
      if (largest == 0) continue;
      GOLF_ASSIGN(encoded[i], encoder_.EncodeAs(i, quantisers::BestRows(-largest, largest), share));
      loss += encoder_.ErrorShare(i, encoded[i]);
    }
    return Judge(state, std::move(encoded), loss, share);
  }

  // Whether the file fits; keeps the best one that does.
  bool Judge(const State& state, std::vector<EncodedTensor> encoded, double loss, double share) {
    const uint64_t bytes = task_.artifact_bytes(encoded, result_.level);
    result_.path.push_back({Describe(state, share), bytes, loss});
    const bool fits = bytes <= task_.max_bytes;
    const bool better = result_.fits ? fits && loss < result_.loss
                                     : fits || best_bytes_ == 0 || bytes < best_bytes_;
    if (better) {
      result_.tensors = std::move(encoded);
      result_.loss = loss;
      result_.pruned = share * CodedShare(state);
      result_.fits = fits;
      best_bytes_ = bytes;
    }
    return fits;
  }

  // Of all weights, those that are codes.
  double CodedShare(const State& state) const {
    double coded = 0, all = 0;
    for (size_t i = 0; i < state.size(); ++i) {
      const auto n = static_cast<double>(encoder_.tensor(i).data.size());
      all += n;
      if (rungs_[i][state[i]].largest_code > 0) coded += n;
    }
    return all > 0 ? coded / all : 0;
  }

  std::string Describe(const State& state, double share) const {
    double bits = 0, weights = 0;
    for (size_t i = 0; i < state.size(); ++i) {
      const int largest = rungs_[i][state[i]].largest_code;
      if (largest == 0) continue;
      const auto n = static_cast<double>(encoder_.tensor(i).data.size());
      bits += n * std::log2(2.0 * largest + 1);
      weights += n;
    }
    std::string text = fmt::format("int{:.2f} on average", weights > 0 ? bits / weights : 0);
    if (share > 0) text += fmt::format(", {:.2f} % pruned", 100 * share);
    return text + fmt::format(", level {}", result_.level);
  }

  // From the state after `steps` steps, which fits: takes back single steps that what is left has room for, the dearest
  // first.
  void TakeBack(size_t steps) {
    State state = StateAfter(steps);
    double room = static_cast<double>(task_.max_bytes) - static_cast<double>(best_bytes_);
    size_t tries = 0;
    for (size_t s = steps; s-- > 0 && tries < kTakeBackTries;) {
      const StepDown& step = steps_[s];
      if (state[step.tensor] != step.to || step.saved > room) continue;
      State richer = state;
      richer[step.tensor] = step.from;
      ++tries;
      if (!Try(richer)) continue;
      state = std::move(richer);
      room = static_cast<double>(task_.max_bytes) - static_cast<double>(result_.path.back().bytes);
    }
  }

  // The least pruning with which the state fits.
  Status Prune(const State& state) {
    double low = prune(), high = kLargestPrune;
    for (int i = 0; i < kPruneTries; ++i) {
      // Small shares first: they are what fine tuning needs.
      const double middle = i == 0 ? low + (high - low) / 16 : (low + high) / 2;
      GOLF_ASSIGN(const bool fits, TryPruned(state, middle));
      (fits ? high : low) = middle;
    }
    return {};
  }

  const FitTask& task_;
  TensorEncoder encoder_;
  std::vector<std::vector<Rung>> rungs_;  // of each tensor; floats have one
  std::vector<StepDown> steps_;           // in the order in which they are taken
  FitResult result_;
  uint64_t best_bytes_ = 0;
};

}  // namespace

Result<FitResult> FitByError(const Packing& packing, const FitTask& task) {
  return Search(packing, task).Run();
}

}  // namespace golf
