#include "runtime/calibrate.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "kernels/base/check.h"
#include "kernels/table.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

using schema::Operation;

// Where the caller does not say: every value of a pass is kept, half a gigabyte for 2048 tokens of the largest recipes.
constexpr size_t kPassTokens = 4096;

// The sums of x x^T, one matrix for each value that a Linear step reads.
class InputSums {
 public:
  InputSums(const KernelTable& kernels, const schema::ProgramT& program)
      : kernels_(kernels), program_(program) {
    for (const auto& step : program.steps) {
      if (step->operation.type != Operation::Linear) continue;
      const uint32_t weight = step->weights[0], value = step->inputs[0];
      Reader& reader = readers_[weight];
      ++reader.steps;
      const auto [at, is_new] = first_reader_.try_emplace(value, weight);
      // A weight in several steps has a sum of its own, over all of them.
      reader.sums_for = reader.steps > 1 ? weight : at->second;
    }
    for (auto& [weight, reader] : readers_) {
      if (readers_[reader.sums_for].steps > 1) reader.sums_for = weight;
    }
  }

  void Add(size_t weight, size_t rows, size_t width, const float* inputs) {
    if (readers_.at(weight).sums_for != weight) return;
    Sum& sum = SumOf(weight, width);
    Product& product = products_[width];
    if (product.rows != rows) {
      product.run.emplace(kernels_.make_gemm(
          {.m = width, .n = width, .k = rows, .transpose_a = true, .add = true}));
      product.rows = rows;
    }
    product.run->Run(inputs, inputs, sum.matrix.data());
  }

  // Of the sums and their means, once all weights have inputs.
  size_t Bytes() const {
    size_t bytes = 0;
    for (const auto& [weight, reader] : readers_) {
      const size_t width = program_.weights[weight]->shape[1];
      if (reader.sums_for == weight) bytes += 2 * width * width * sizeof(float);
    }
    return bytes;
  }

  std::vector<TensorView> Views() const {
    std::vector<TensorView> views;
    for (const auto& [weight, sum] : sums_)
      views.push_back({program_.weights[weight]->name, sum.shape, sum.matrix});
    return views;
  }

  // False if these are not the sums of this program, each once.
  bool Load(std::span<const TensorView> views) {
    sums_.clear();
    for (const auto& [weight, reader] : readers_) {
      if (reader.sums_for != weight) continue;
      Sum& sum = SumOf(weight, program_.weights[weight]->shape[1]);
      const auto view = std::ranges::find(views, program_.weights[weight]->name, &TensorView::name);
      if (view == views.end() || !std::ranges::equal(view->shape, sum.shape)) return false;
      sum.matrix.assign(view->data.begin(), view->data.end());
    }
    return sums_.size() == views.size();
  }

  // The means over `tokens` rows of each step, by weight.
  std::unordered_map<size_t, HessianSet::Matrix> Means(uint64_t tokens) const {
    std::unordered_map<size_t, HessianSet::Matrix> means;
    for (const auto& [weight, sum] : sums_) {
      const auto rows = static_cast<double>(tokens * readers_.at(weight).steps);
      means[weight] = Symmetric(sum.matrix, 1.0 / rows);
    }
    for (const auto& [weight, reader] : readers_) means[weight] = means.at(reader.sums_for);
    return means;
  }

  // The mean of a matrix and its transpose (a product rounds the two differently), times `factor`.
  static HessianSet::Matrix Symmetric(std::vector<float> matrix, double factor) {
    size_t n = 0;
    while (n * n < matrix.size()) ++n;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i; j < n; ++j) {
        const double both =
            static_cast<double>(matrix[i * n + j]) + static_cast<double>(matrix[j * n + i]);
        matrix[i * n + j] = matrix[j * n + i] = static_cast<float>(both / 2 * factor);
      }
    }
    return std::make_shared<const std::vector<float>>(std::move(matrix));
  }

 private:
  struct Reader {
    size_t steps = 0;
    size_t sums_for = 0;  // the weight under which its inputs are summed
  };
  struct Sum {
    std::vector<uint32_t> shape;  // (C, C)
    std::vector<float> matrix;
  };
  struct Product {
    std::optional<WholeProduct> run;
    size_t rows = 0;
  };
  Sum& SumOf(size_t weight, size_t width) {
    Sum& sum = sums_[weight];
    if (sum.matrix.empty()) {
      sum.matrix.resize(width * width);
      sum.shape.assign(2, static_cast<uint32_t>(width));
    }
    return sum;
  }

  const KernelTable& kernels_;
  const schema::ProgramT& program_;
  std::unordered_map<size_t, Reader> readers_;
  std::unordered_map<uint32_t, size_t> first_reader_;  // by value
  std::map<size_t, Sum> sums_;
  std::map<size_t, Product> products_;  // by width
};

// Tables whose rows are only ever read by one Linear step: table -> that step's weight.
std::unordered_map<size_t, size_t> TablesBehindLinear(const schema::ProgramT& program) {
  std::unordered_map<size_t, size_t> tables;
  for (const auto& lookup : program.steps) {
    const Operation type = lookup->operation.type;
    if (type != Operation::Embedding && type != Operation::HashEmbedding) continue;
    const schema::StepT* reader = nullptr;
    size_t readers = 0;
    for (const auto& step : program.steps) {
      if (std::ranges::find(step->inputs, lookup->outputs[0]) == step->inputs.end()) continue;
      reader = step.get();
      ++readers;
    }
    if (readers == 1 && reader->operation.type == Operation::Linear)
      tables[lookup->weights[0]] = reader->weights[0];
  }
  return tables;
}

// W^T W of a weight W (O, I).
HessianSet::Matrix GramOf(const KernelTable& kernels, const TensorSet& weights, size_t weight) {
  const size_t rows = weights.shape(weight)[0], width = weights.shape(weight)[1];
  std::vector<float> gram(width * width);
  WholeProduct(kernels.make_gemm({.m = width, .n = width, .k = rows, .transpose_a = true}))
      .Run(weights[weight].data(), weights[weight].data(), gram.data());
  return InputSums::Symmetric(std::move(gram), 1);
}

class Collector final : public HessianCollector {
 public:
  Collector(const KernelTable& kernels, const schema::ProgramT& program, const TensorSet& weights,
            const CalibrationOptions& options)
      : kernels_(kernels),
        program_(program),
        weights_(weights),
        options_(options),
        batch_(options.batch > 0 ? options.batch
                                 : std::max<size_t>(kPassTokens / options.length, 1)),
        sums_(kernels, program) {}

  Status Add(std::span<const int32_t> ids, const CalibrationProgress& progress) override {
    const auto start = Clock::now();
    const size_t length = options_.length;
    GOLF_CHECK(ids.size() % length == 0);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || static_cast<uint32_t>(ids[i]) >= program_.vocab_size) {
        return {Code::kBadData, fmt::format("calibration token {} is {}; the vocabulary has {}", i,
                                            ids[i], program_.vocab_size)};
      }
    }
    if (executor_) executor_->WeightsChanged();
    for (size_t first = 0; first < ids.size() / length;) {
      const size_t batch = std::min(batch_, ids.size() / length - first);
      GOLF_TRY(Prepare(batch));
      executor_->Observe(ids.subspan(first * length, batch * length),
                         [&](size_t weight, size_t rows, size_t width, const float* inputs) {
                           sums_.Add(weight, rows, width, inputs);
                         });
      first += batch;
      tokens_ += batch * length;
      if (progress && !progress(first * length))
        return {Code::kInterrupted, "calibration interrupted; nothing was written"};
    }
    seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    return {};
  }

  Result<HessianSet> Finish(const TensorSet& weights) const override {
    if (tokens_ == 0) return Status{Code::kBadData, "no calibration text"};
    HessianSet set;
    set.tokens = tokens_;
    set.seconds = seconds_;
    for (const auto& [weight, mean] : sums_.Means(tokens_))
      set.by_weight[program_.weights[weight]->name] = mean;
    for (const auto& [table, weight] : TablesBehindLinear(program_)) {
      const std::string& name = program_.weights[table]->name;
      if (!set.by_weight.contains(name)) set.by_weight[name] = GramOf(kernels_, weights, weight);
    }
    return set;
  }

  State state() const override { return {tokens_, sums_.Views()}; }

  Status Load(const State& state) override {
    tokens_ = state.tokens;
    if (tokens_ == 0 || sums_.Load(state.sums)) return {};
    return {Code::kBadData, "the sums of Hessians are not those of this network"};
  }

  Result<size_t> PeakBytes() override {
    GOLF_TRY(Prepare(batch_));
    return executor_->arena_bytes() + sums_.Bytes();
  }

 private:
  using Clock = std::chrono::steady_clock;

  Status Prepare(size_t batch) {
    if (executor_ && executor_batch_ == batch) return {};
    executor_.reset();
    ExecutorOptions wanted;
    wanted.mode = Mode::kObserve;
    wanted.precision = options_.precision;
    wanted.batch = batch;
    wanted.length = options_.length;
    GOLF_ASSIGN(executor_, Executor::Create(kernels_, program_, weights_, wanted));
    executor_batch_ = batch;
    return {};
  }

  const KernelTable& kernels_;
  const schema::ProgramT& program_;
  const TensorSet& weights_;
  const CalibrationOptions options_;
  const size_t batch_;
  InputSums sums_;
  uint64_t tokens_ = 0;
  double seconds_ = 0;
  std::unique_ptr<Executor> executor_;
  size_t executor_batch_ = 0;
};

}  // namespace

std::unique_ptr<HessianCollector> HessianCollector::Create(const KernelTable& kernels,
                                                           const schema::ProgramT& program,
                                                           const TensorSet& weights,
                                                           const CalibrationOptions& options) {
  GOLF_CHECK(options.length > 0);
  return std::make_unique<Collector>(kernels, program, weights, options);
}

Result<HessianSet> CollectHessians(const KernelTable& kernels, const schema::ProgramT& program,
                                   const TensorSet& weights, std::span<const int32_t> ids,
                                   const CalibrationOptions& options,
                                   const CalibrationProgress& progress) {
  const auto collector = HessianCollector::Create(kernels, program, weights, options);
  GOLF_TRY(collector->Add(ids, progress));
  return collector->Finish(weights);
}

}  // namespace golf
