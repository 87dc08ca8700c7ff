#include "runtime/generate.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <random>

#include "kernels/base/check.h"
#include "kernels/table.h"
#include "runtime/operations.h"
#include "runtime/plan.h"
#include "runtime/step_calls.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

using schema::Operation;

// Zeros at the alignment that kernels ask for. Copies share them, for std::function wants to copy what it holds.
template <class T>
class AlignedZeros {
 public:
  AlignedZeros() = default;
  explicit AlignedZeros(size_t n)
      : data_(static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64})),
              [](T* p) { ::operator delete (p, std::align_val_t{64}); }) {
    std::memset(static_cast<void*>(data_.get()), 0, n * sizeof(T));
  }
  T* data() const { return data_.get(); }

 private:
  std::shared_ptr<T[]> data_;
};

// Every operation reads its own row only, except those that keep something of earlier ones here.
Status CheckOperations(const schema::ProgramT& program) {
  for (const auto& step : program.steps) {
    switch (step->operation.type) {
      case Operation::Embedding:
      case Operation::HashEmbedding:
      case Operation::Smear:
      case Operation::Attention:
        continue;
      default:
        break;
    }
    const OperationTraits& traits = TraitsOf(*step);
    if (traits.makes_all_rows || traits.whole_inputs != 0) {
      return {Code::kUsage,
              fmt::format("text cannot be generated with the operation {}", traits.name)};
    }
  }
  return {};
}

// Windows of one token each, in step through all positions: the plan and the kernel calls of a network whose windows have
// length 1, but for the operations that look back.
template <class T>
class Generator {
 public:
  Generator(const KernelTable& kernels, const schema::ProgramT& program, const TensorSet& weights,
            size_t batch, size_t length)
      : kernels_(kernels),
        program_(program),
        weights_(weights),
        batch_(batch),
        length_(length),
        plan_(MakePlan(program, ObserveOneToken(weights, batch),
                       kernels.ops<T>().attention_backward_scratch)),
        arena_(plan_.arena_bytes),
        ids_(batch),
        previous_(batch),
        position_(batch),
        at_(batch),
        zeros_(batch),
        row_(batch),
        targets_(batch) {
    for (size_t b = 0; b < batch; ++b) row_[b] = static_cast<int32_t>(b);
    BindOperands();
    calls_ = MakeStepCalls<T>(kernels_, program_, plan_, operands_);
    PackWeights();
    for (size_t s = 0; s < program_.steps.size(); ++s) BindLookingBack(s);
  }

  // Reads token `at` of every window; logits (B, V) of what follows it.
  std::span<const float> Read(size_t at, std::span<const int32_t> ids) {
    std::ranges::copy(ids, ids_.begin());
    std::ranges::fill(position_, static_cast<int32_t>(at));
    std::ranges::fill(at_, static_cast<uint32_t>(at));
    for (const auto& forward : calls_.forward) forward();
    std::ranges::copy(ids, previous_.begin());
    const PlannedBuffer& logits = plan_.buffers[plan_.steps.back().inputs[0]];
    return {reinterpret_cast<const float*>(operands_.arena + logits.offset), batch_ * logits.width};
  }

 private:
  static ExecutorOptions ObserveOneToken(const TensorSet& weights, size_t batch) {
    ExecutorOptions options;
    options.mode = Mode::kObserve;
    options.precision = sizeof(T) == sizeof(float) ? Precision::kFp32 : Precision::kBf16;
    options.batch = batch;
    options.length = 1;
    options.trainable.assign(weights.count(), false);
    return options;
  }

  void BindOperands() {
    operands_.arena = arena_.data();
    operands_.weights = &weights_;
    operands_.trainable.assign(weights_.count(), false);
    operands_.ids = ids_.data();
    operands_.targets = targets_.data();
    operands_.first_row = operands_.first_row_zero = zeros_.data();
    operands_.position = operands_.wanted_position = position_.data();
    operands_.wanted_row = row_.data();
    for (const auto& step : program_.steps) {
      if (const auto* op = step->operation.AsQkPrepare()) {
        // The tables of the whole window: a window of one token would have others.
        const RopeSettings settings{op->rope_dims, op->rope_base, op->train_length,
                                    op->bf16_frequencies};
        operands_.rope.push_back(
            std::make_unique<SharedRope>(SharedRope{settings, MakeRopeTables(length_, settings)}));
      }
    }
  }

  void PackWeights() {
    packed_weights_ = AlignedZeros<std::byte>(calls_.packed_bytes);
    gemm_scratch_ = AlignedZeros<std::byte>(calls_.gemm_scratch_bytes);
    operands_.packed_weights = packed_weights_.data();
    operands_.gemm_scratch = gemm_scratch_.data();
    for (const PackedWeight& packed : calls_.packed_weights) {
      const auto weight = weights_[packed.weight];
      const void* multiplied = weight.data();
      AlignedZeros<T> rounded;
      if constexpr (sizeof(T) != sizeof(float)) {
        rounded = AlignedZeros<T>(weight.size());
        kernels_.optimizer.to_bf16(weight.size(), weight.data(), rounded.data());
        multiplied = rounded.data();
      }
      packed.product->Pack(multiplied, packed_weights_.data() + packed.offset,
                           gemm_scratch_.data());
    }
  }

  T* Buffer(int buffer) const {
    return reinterpret_cast<T*>(operands_.arena + plan_.buffers[buffer].offset);
  }

  void BindLookingBack(size_t s) {
    const schema::StepT& step = *program_.steps[s];
    const PlannedStep& planned = plan_.steps[s];
    switch (step.operation.type) {
      case Operation::HashEmbedding:
        calls_.forward[s] = HashEmbedding(step, Buffer(planned.output));
        break;
      case Operation::Smear:
        calls_.forward[s] = Smear(step, Buffer(planned.inputs[0]), Buffer(planned.output));
        break;
      case Operation::Attention:
        calls_.forward[s] = Attention(step, planned);
        break;
      default:
        break;
    }
  }

  size_t WidthOf(uint32_t value) const { return program_.values[value]->width; }

  std::function<void()> HashEmbedding(const schema::StepT& step, T* y) {
    const size_t table = step.weights[0];
    const uint32_t buckets = program_.weights[table]->shape[0];
    const auto hash = step.operation.AsHashEmbedding()->hash == schema::HashKind::XorPrimes
                          ? BigramHash::kXorPrimes
                          : BigramHash::kPolynomial;
    const EmbeddingDims d{batch_, WidthOf(step.outputs[0]), buckets};
    return [this, d, hash, table, y, pairs = std::vector<int32_t>(2 * batch_),
            bucket = std::vector<int32_t>(2 * batch_)]() mutable {
      if (at_[0] == 0) {
        kernels_.bigram_hash({batch_, 1, static_cast<uint32_t>(d.V), hash}, ids_.data(),
                             bucket.data());
      } else {
        for (size_t b = 0; b < batch_; ++b) {
          pairs[2 * b] = previous_[b];
          pairs[2 * b + 1] = ids_[b];
        }
        kernels_.bigram_hash({batch_, 2, static_cast<uint32_t>(d.V), hash}, pairs.data(),
                             bucket.data());
        for (size_t b = 0; b < batch_; ++b) bucket[b] = bucket[2 * b + 1];
      }
      kernels_.ops<T>().embedding_forward(d, bucket.data(), weights_[table].data(), y);
    };
  }

  std::function<void()> Smear(const schema::StepT& step, const T* x, T* y) {
    const size_t c = WidthOf(step.outputs[0]);
    const float* gate = weights_[step.weights[0]].data();
    // Windows of two tokens, the one before and this one.
    return [this, c, gate, x, y, pairs = AlignedZeros<T>(2 * batch_ * c),
            smeared = AlignedZeros<T>(2 * batch_ * c)] {
      for (size_t b = 0; b < batch_; ++b) std::copy_n(x + b * c, c, pairs.data() + (2 * b + 1) * c);
      if (at_[0] == 0) {
        kernels_.ops<T>().smear_forward({batch_, 1, c}, x, gate, y);
      } else {
        kernels_.ops<T>().smear_forward({batch_, 2, c}, pairs.data(), gate, smeared.data());
        for (size_t b = 0; b < batch_; ++b)
          std::copy_n(smeared.data() + (2 * b + 1) * c, c, y + b * c);
      }
      for (size_t b = 0; b < batch_; ++b) std::copy_n(x + b * c, c, pairs.data() + 2 * b * c);
    };
  }

  std::function<void()> Attention(const schema::StepT& step, const PlannedStep& planned) {
    const auto* op = step.operation.AsAttention();
    const AttentionDims d{batch_, 1, length_, op->heads, op->kv_heads, op->head_dim};
    const size_t width = size_t{d.K} * d.D;
    return [this, d, width, q = Buffer(planned.inputs[0]), k = Buffer(planned.inputs[1]),
            v = Buffer(planned.inputs[2]), y = Buffer(planned.output),
            keys = AlignedZeros<T>(batch_ * length_ * width),
            values = AlignedZeros<T>(batch_ * length_ * width)] {
      for (size_t b = 0; b < batch_; ++b) {
        const size_t to = (b * length_ + at_[b]) * width;
        std::copy_n(k + b * width, width, keys.data() + to);
        std::copy_n(v + b * width, width, values.data() + to);
      }
      kernels_.ops<T>().attention_forward(d, q, keys.data(), values.data(), at_.data(), y, nullptr);
    };
  }

  const KernelTable& kernels_;
  const schema::ProgramT& program_;
  const TensorSet& weights_;
  const size_t batch_, length_;
  const Plan plan_;
  AlignedZeros<std::byte> arena_, packed_weights_, gemm_scratch_;
  std::vector<int32_t> ids_, previous_, position_;
  std::vector<uint32_t> at_, zeros_;
  std::vector<int32_t> row_, targets_;
  StepOperands operands_;
  StepCalls calls_;
};

// A token drawn from softmax(softcap * tanh(z / softcap) / temperature), `uniform` in [0, 1).
int32_t Draw(std::span<const float> z, double softcap, double temperature, double uniform,
             std::vector<double>& weight) {
  weight.resize(z.size());
  double largest = -INFINITY;
  for (size_t v = 0; v < z.size(); ++v) {
    weight[v] = softcap * std::tanh(static_cast<double>(z[v]) / softcap) / temperature;
    largest = std::max(largest, weight[v]);
  }
  double sum = 0;
  for (double& w : weight) sum += w = std::exp(w - largest);
  double left = uniform * sum;
  for (size_t v = 0; v + 1 < weight.size(); ++v) {
    left -= weight[v];
    if (left < 0) return static_cast<int32_t>(v);
  }
  return static_cast<int32_t>(weight.size() - 1);
}

// Uniform numbers of one window; the same whatever batch it is in.
class WindowRandom {
 public:
  WindowRandom(uint64_t seed, size_t window) {
    std::seed_seq sequence{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32),
                           static_cast<uint32_t>(window)};
    engine_.seed(sequence);
  }
  double Next() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

 private:
  std::mt19937_64 engine_;
};

template <class T>
Result<std::vector<int32_t>> GenerateWith(const KernelTable& kernels,
                                          const schema::ProgramT& program, const TensorSet& weights,
                                          const GenerateOptions& options,
                                          const CalibrationProgress& progress) {
  const size_t vocab = program.vocab_size;
  const double softcap = program.steps.back()->operation.AsSoftcapCrossEntropy()->softcap;
  std::vector<int32_t> tokens(options.windows * options.length);
  std::vector<double> scratch;
  uint64_t done = 0;
  for (size_t first = 0; first < options.windows; first += options.batch) {
    const size_t batch = std::min(options.batch, options.windows - first);
    Generator<T> generator(kernels, program, weights, batch, options.length);
    std::vector<WindowRandom> random;
    std::vector<int32_t> ids(batch);
    for (size_t b = 0; b < batch; ++b) {
      random.emplace_back(options.seed, first + b);
      ids[b] = static_cast<int32_t>(random[b].Next() * static_cast<double>(vocab));
    }
    for (size_t t = 0; t < options.length; ++t) {
      for (size_t b = 0; b < batch; ++b) tokens[(first + b) * options.length + t] = ids[b];
      done += batch;
      if (progress && !progress(done))
        return Status{Code::kInterrupted, "generation interrupted; nothing was written"};
      if (t + 1 == options.length) break;
      const std::span<const float> logits = generator.Read(t, ids);
      for (size_t b = 0; b < batch; ++b) {
        ids[b] = Draw(logits.subspan(b * vocab, vocab), softcap, options.temperature,
                      random[b].Next(), scratch);
      }
    }
  }
  return tokens;
}

}  // namespace

Result<std::vector<int32_t>> Generate(const KernelTable& kernels, const schema::ProgramT& program,
                                      const TensorSet& weights, const GenerateOptions& options,
                                      const CalibrationProgress& progress) {
  GOLF_CHECK(options.windows > 0 && options.length > 0 && options.batch > 0 &&
             options.temperature > 0);
  GOLF_TRY(CheckOperations(program));
  return options.precision == Precision::kFp32
             ? GenerateWith<float>(kernels, program, weights, options, progress)
             : GenerateWith<bf16>(kernels, program, weights, options, progress);
}

}  // namespace golf
