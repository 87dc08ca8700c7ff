#include "runtime/executor.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/aligned.h"
#include "kernels/base/check.h"
#include "kernels/table.h"
#include "runtime/plan.h"
#include "runtime/step_calls.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

size_t MemoryOfThisMachine() {
  return static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

// The derivative of (1 - p)^gamma nll, p = exp(-nll), by nll.
double FocalSlope(double nll, double gamma) {
  const double miss = -std::expm1(-nll);  // 1 - p
  if (miss <= 0) return 0;
  return std::pow(miss, gamma) + gamma * std::pow(miss, gamma - 1) * (1 - miss) * nll;
}

template <class T>
class ProgramExecutor final : public Executor {
 public:
  ProgramExecutor(const KernelTable& kernels, const schema::ProgramT& program,
                  const TensorSet& weights, ExecutorOptions options)
      : kernels_(kernels),
        program_(program),
        weights_(weights),
        options_(std::move(options)),
        plan_(MakePlan(program, options_, kernels.ops<T>().attention_backward_scratch)) {}

  Status Allocate() {
    // Where memory is overcommitted the allocation would succeed and its use would end the process.
    if (arena_bytes() <= MemoryOfThisMachine()) arena_ = AllocateAligned(plan_.arena_bytes);
    if (!arena_) return OutOfMemory();
    ids_.resize(plan_.batch * plan_.length);
    position_.resize(ids_.size());
    for (size_t i = 0; i < position_.size(); ++i)
      position_[i] = static_cast<int32_t>(i % plan_.length);
    targets_.resize(plan_.batch * plan_.wanted_rows);
    wanted_position_.resize(targets_.size());
    wanted_row_.resize(targets_.size());
    first_row_.resize(plan_.batch);
    first_row_zero_.resize(plan_.batch);

    operands_.arena = arena_.get();
    operands_.rope_length = options_.rope_length;
    operands_.weights = &weights_;
    operands_.trainable = options_.trainable;
    operands_.ids = ids_.data();
    operands_.targets = targets_.data();
    operands_.first_row = first_row_.data();
    operands_.first_row_zero = first_row_zero_.data();
    operands_.position = position_.data();
    operands_.wanted_position = wanted_position_.data();
    operands_.wanted_row = wanted_row_.data();
    if (options_.focal_gamma > 0) {
      row_gradients_.resize(targets_.size());
      operands_.row_gradients = row_gradients_.data();
    }
    calls_ = MakeStepCalls<T>(kernels_, program_, plan_, operands_);
    if (arena_bytes() > MemoryOfThisMachine()) return OutOfMemory();
    packed_weights_ = AllocateAligned(calls_.packed_bytes);
    gemm_scratch_ = AllocateAligned(calls_.gemm_scratch_bytes);
    rounded_ = AllocateAligned(RoundedBytes());
    if (!packed_weights_ || !gemm_scratch_ || !rounded_) return OutOfMemory();
    operands_.packed_weights = packed_weights_.get();
    operands_.gemm_scratch = gemm_scratch_.get();
    WeightsChanged(std::nullopt);
    return {};
  }

  void WeightsChanged(std::optional<FakeQuant> fake_quant) override {
    fake_quant_ = fake_quant;
    for (const PackedWeight& packed : calls_.packed_weights) {
      const bool quantised = fake_quant && packed.fake_quant;
      packed.product->Pack(AsMultiplied(packed.weight, quantised ? &*fake_quant : nullptr),
                           packed_weights_.get() + packed.offset, gemm_scratch_.get());
    }
  }

  void BackThroughFakeQuant(TensorSet& gradients) const override {
    if (!fake_quant_ || fake_quant_->sharpness == 0) return;
    std::vector<bool> done(weights_.count(), false);  // several steps may share a matrix
    for (const auto& step : program_.steps) {
      const auto* linear = step->operation.AsLinear();
      if (linear == nullptr || !linear->fake_quant) continue;
      const size_t w = step->weights[0];
      if (done[w] || !options_.trainable[w]) continue;
      done[w] = true;
      kernels_.optimizer.fake_quantise_backward(weights_.shape(w)[0], weights_.shape(w)[1],
                                                RuleOf(*fake_quant_), weights_[w].data(),
                                                gradients[w].data());
    }
  }

  void Score(std::span<const int32_t> ids, std::span<const uint32_t> first_row,
             std::span<const int32_t> targets, std::span<float> nll) override {
    GOLF_CHECK(options_.mode == Mode::kScore);
    SetInputs(ids, first_row, targets);
    RunForward();
    const std::span<const float> result = Nll();
    GOLF_CHECK(nll.size() == result.size());
    std::ranges::copy(result, nll.begin());
  }

  // A row's NLL depends on nothing but the row, so rows of one target each give what Score gave.
  void ScoreEveryTarget(size_t row, std::span<float> nll) const override {
    GOLF_CHECK(options_.mode == Mode::kScore && row < targets_.size());
    const PlannedBuffer& logits = plan_.buffers[plan_.steps.back().inputs[0]];
    const auto* z =
        reinterpret_cast<const float*>(arena_.get() + logits.offset) + row * logits.width;
    const double softcap = program_.steps.back()->operation.AsSoftcapCrossEntropy()->softcap;
    GOLF_CHECK(nll.size() == logits.width);
    for (size_t v = 0; v < nll.size(); ++v) {
      const auto target = static_cast<int32_t>(v);
      kernels_.ops<T>().cross_entropy_forward({1, logits.width, softcap}, z, &target, &nll[v],
                                              nullptr);
    }
  }

  double Train(std::span<const int32_t> ids, std::span<const int32_t> targets, float loss_scale,
               TensorSet& gradients) override {
    GOLF_CHECK(options_.mode == Mode::kTrain);
    SetInputs(ids, {}, targets);
    operands_.gradients = &gradients;
    operands_.loss_gradient = loss_scale / static_cast<float>(targets_.size());
    RunForward();
    double sum = 0;
    for (float x : Nll()) sum += x;
    for (size_t i = 0; i < row_gradients_.size(); ++i) {
      row_gradients_[i] =
          operands_.loss_gradient * static_cast<float>(FocalSlope(Nll()[i], options_.focal_gamma));
    }
    for (size_t s = calls_.backward.size(); s-- > 0 && !Stopped();) {
      if (calls_.backward[s]) calls_.backward[s]();
    }
    return sum / static_cast<double>(targets_.size());
  }

  void Observe(std::span<const int32_t> ids, const Observer& observer) override {
    GOLF_CHECK(options_.mode == Mode::kObserve);
    SetInputs(ids, {}, {});
    std::vector<float> inputs;
    for (size_t s = 0; s < calls_.forward.size() && !Stopped(); ++s) {
      const schema::StepT& step = *program_.steps[s];
      if (observer && step.operation.type == schema::Operation::Linear) {
        const PlannedBuffer& buffer = plan_.buffers[plan_.steps[s].inputs[0]];
        Widen(buffer, inputs);
        observer(step.weights[0], buffer.rows, buffer.width, inputs.data());
      }
      calls_.forward[s]();
    }
  }

  Result<std::vector<float>> ReadValue(std::string_view name) const override {
    for (size_t v = 0; v < program_.values.size(); ++v) {
      if (program_.values[v]->name != name) continue;
      std::vector<float> values;
      Widen(plan_.buffers[plan_.value_buffer[v]], values);
      return values;
    }
    return Status(Code::kUsage, fmt::format("the network has no value '{}'", name));
  }

  size_t arena_bytes() const override {
    return plan_.arena_bytes + calls_.packed_bytes + calls_.gemm_scratch_bytes + RoundedBytes();
  }
  std::string PlanTable() const override {
    return FormatPlan(plan_) +
           fmt::format(
               "weights packed for products: {} bytes; scratch of products: {} bytes; of a "
               "rounded weight: {} bytes\ntotal: {} bytes\n",
               calls_.packed_bytes, calls_.gemm_scratch_bytes, RoundedBytes(), arena_bytes());
  }

 private:
  static constexpr bool kIsBf16 = sizeof(T) != sizeof(float);

  bool Stopped() const { return options_.stop != nullptr && *options_.stop; }

  void RunForward() {
    for (size_t s = 0; s < calls_.forward.size() && !Stopped(); ++s) calls_.forward[s]();
  }

  Status OutOfMemory() const {
    return {Code::kIo, fmt::format("out of memory: a pass of {} windows of {} tokens needs {} "
                                   "bytes; use a smaller batch",
                                   plan_.batch, plan_.length, arena_bytes())};
  }

  // Of the largest matrix, rounded or quantised before it is packed.
  size_t RoundedBytes() const {
    size_t elements = 0;
    for (const PackedWeight& packed : calls_.packed_weights) {
      elements = std::max(elements, weights_[packed.weight].size());
    }
    return AlignUp(elements * sizeof(T));
  }

  // A matrix as the products read it. Fake quantisation only where `quant` is given.
  const void* AsMultiplied(size_t index, const FakeQuant* quant) {
    const float* master = weights_[index].data();
    T* rounded = reinterpret_cast<T*>(rounded_.get());
    if (quant != nullptr) {
      FakeQuantise(*quant, index, master, rounded);
    } else if constexpr (kIsBf16) {
      kernels_.optimizer.to_bf16(weights_[index].size(), master, rounded);
    } else {
      return master;
    }
    return rounded;
  }

  static FakeQuantRule RuleOf(const FakeQuant& q) {
    return {q.divisor, 1 / q.divisor, q.lowest, q.highest, q.quantile, q.sharpness};
  }

  void FakeQuantise(const FakeQuant& q, size_t index, const float* master, T* copy) {
    const size_t rows = weights_.shape(index)[0], cols = weights_.shape(index)[1];
    if constexpr (kIsBf16) {
      kernels_.optimizer.fake_quantise_bf16(rows, cols, RuleOf(q), master, copy);
    } else {
      kernels_.optimizer.fake_quantise_f32(rows, cols, RuleOf(q), master, copy);
    }
  }

  // Missing first rows are 0, missing targets are token 0 (nobody looks at the losses then).
  void SetInputs(std::span<const int32_t> ids, std::span<const uint32_t> first_row,
                 std::span<const int32_t> targets) {
    GOLF_CHECK(ids.size() == ids_.size());
    GOLF_CHECK(targets.empty() || targets.size() == targets_.size());
    GOLF_CHECK(first_row.empty() || first_row.size() == plan_.batch);
    std::ranges::copy(ids, ids_.begin());
    std::ranges::copy(targets, targets_.begin());
    const auto vocab = static_cast<int32_t>(program_.vocab_size);
    const auto in_vocab = [vocab](int32_t id) { return id >= 0 && id < vocab; };
    GOLF_CHECK(std::ranges::all_of(ids_, in_vocab) && std::ranges::all_of(targets_, in_vocab));
    for (size_t b = 0; b < plan_.batch; ++b) {
      const size_t first = first_row.empty() ? 0 : first_row[b];
      GOLF_CHECK(first + plan_.wanted_rows <= plan_.length);
      first_row_[b] = static_cast<uint32_t>(first);
      for (size_t i = 0; i < plan_.wanted_rows; ++i) {
        const size_t at = b * plan_.wanted_rows + i;
        wanted_position_[at] = static_cast<int32_t>(first + i);
        wanted_row_[at] = static_cast<int32_t>(b * plan_.length + first + i);
      }
    }
  }

  std::span<const float> Nll() const {
    const PlannedBuffer& buffer = plan_.buffers[plan_.steps.back().output];
    return {reinterpret_cast<const float*>(arena_.get() + buffer.offset), buffer.rows};
  }

  void Widen(const PlannedBuffer& buffer, std::vector<float>& values) const {
    values.resize(buffer.rows * buffer.width);
    const std::byte* from = arena_.get() + buffer.offset;
    if (std::strcmp(buffer.type, "f32") == 0) {
      std::memcpy(values.data(), from, values.size() * sizeof(float));
      return;
    }
    const auto* elements = reinterpret_cast<const bf16*>(from);
    for (size_t i = 0; i < values.size(); ++i) values[i] = ToFloat(elements[i]);
  }

  const KernelTable& kernels_;
  const schema::ProgramT& program_;
  const TensorSet& weights_;
  const ExecutorOptions options_;
  const Plan plan_;
  std::optional<FakeQuant> fake_quant_;  // of the packed weights
  AlignedBytes arena_, packed_weights_, gemm_scratch_, rounded_;
  std::vector<int32_t> ids_, targets_, position_, wanted_position_, wanted_row_;
  std::vector<uint32_t> first_row_, first_row_zero_;
  std::vector<float> row_gradients_;  // empty where all rows have the same
  StepOperands operands_;
  StepCalls calls_;
};

template <class T>
Result<std::unique_ptr<Executor>> Make(const KernelTable& kernels, const schema::ProgramT& program,
                                       const TensorSet& weights, const ExecutorOptions& options) {
  auto executor = std::make_unique<ProgramExecutor<T>>(kernels, program, weights, options);
  GOLF_TRY(executor->Allocate());
  return std::unique_ptr<Executor>(std::move(executor));
}

}  // namespace

Result<std::unique_ptr<Executor>> Executor::Create(const KernelTable& kernels,
                                                   const schema::ProgramT& program,
                                                   const TensorSet& weights,
                                                   const ExecutorOptions& options) {
  ExecutorOptions o = options;
  if (o.length == 0) o.length = program.window;
  if (o.rope_length == 0) o.rope_length = o.length;
  if (o.batch == 0 || o.scored_rows > o.length) {
    return Status(Code::kUsage, fmt::format("a batch of {} windows, {} of {} rows wanted", o.batch,
                                            o.scored_rows, o.length));
  }
  GOLF_CHECK(o.mode == Mode::kScore || o.scored_rows == 0);
  o.trainable.resize(weights.count(), options.trainable.empty());
  return o.precision == Precision::kFp32 ? Make<float>(kernels, program, weights, o)
                                         : Make<bf16>(kernels, program, weights, o);
}

}  // namespace golf
