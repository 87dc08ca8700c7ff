#include "runtime/calibrate.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <unordered_map>

#include "kernels/base/check.h"
#include "kernels/table.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

using schema::Operation;

// The sums of x x^T, one matrix for each value that a Linear step reads.
class InputSums {
 public:
  InputSums(const KernelTable& kernels, const schema::ProgramT& program) : kernels_(kernels) {
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
    Sum& sum = sums_[weight];
    if (sum.matrix.empty()) sum.matrix.resize(width * width);
    sum.rows += rows;
    if (!sum.product || sum.product_rows != rows) {
      sum.product.emplace(kernels_.make_gemm(
          {.m = width, .n = width, .k = rows, .transpose_a = true, .add = true}));
      sum.product_rows = rows;
    }
    sum.product->Run(inputs, inputs, sum.matrix.data());
  }

  // Of the sums, once all weights have inputs.
  size_t Bytes(const schema::ProgramT& program) const {
    size_t bytes = 0;
    for (const auto& [weight, reader] : readers_) {
      const size_t width = program.weights[weight]->shape[1];
      if (reader.sums_for == weight) bytes += width * width * sizeof(float);
    }
    return bytes;
  }

  // The means, by weight.
  std::unordered_map<size_t, HessianSet::Matrix> Means() {
    std::unordered_map<size_t, HessianSet::Matrix> means;
    for (auto& [weight, sum] : sums_)
      means[weight] = Symmetric(std::move(sum.matrix), 1.0 / static_cast<double>(sum.rows));
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
    std::vector<float> matrix;
    uint64_t rows = 0;
    std::optional<WholeProduct> product;
    size_t product_rows = 0;
  };
  const KernelTable& kernels_;
  std::unordered_map<size_t, Reader> readers_;
  std::unordered_map<uint32_t, size_t> first_reader_;  // by value
  std::unordered_map<size_t, Sum> sums_;
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

Result<std::unique_ptr<Executor>> Observing(const KernelTable& kernels,
                                            const schema::ProgramT& program,
                                            const TensorSet& weights,
                                            const CalibrationOptions& options, size_t batch) {
  ExecutorOptions wanted;
  wanted.mode = Mode::kObserve;
  wanted.precision = options.precision;
  wanted.batch = batch;
  wanted.length = options.length;
  return Executor::Create(kernels, program, weights, wanted);
}

}  // namespace

Result<size_t> CalibrationBytes(const KernelTable& kernels, const schema::ProgramT& program,
                                const TensorSet& weights, const CalibrationOptions& options) {
  GOLF_ASSIGN(const std::unique_ptr<Executor> executor,
              Observing(kernels, program, weights, options, options.batch));
  return executor->arena_bytes() + InputSums(kernels, program).Bytes(program);
}

Result<HessianSet> CollectHessians(const KernelTable& kernels, const schema::ProgramT& program,
                                   const TensorSet& weights, std::span<const int32_t> ids,
                                   const CalibrationOptions& options,
                                   const CalibrationProgress& progress) {
  const auto start = std::chrono::steady_clock::now();
  GOLF_CHECK(options.length > 0 && options.batch > 0 && ids.size() % options.length == 0);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || static_cast<uint32_t>(ids[i]) >= program.vocab_size) {
      return Status{Code::kBadData, fmt::format("calibration token {} is {}; the vocabulary has {}",
                                                i, ids[i], program.vocab_size)};
    }
  }
  InputSums sums(kernels, program);
  const size_t windows = ids.size() / options.length;
  if (windows == 0) return Status{Code::kBadData, "no calibration text"};
  std::unique_ptr<Executor> executor;
  size_t executor_batch = 0;
  for (size_t first = 0; first < windows;) {
    const size_t batch = std::min(options.batch, windows - first);
    if (batch != executor_batch) {
      GOLF_ASSIGN(executor, Observing(kernels, program, weights, options, batch));
      executor_batch = batch;
    }
    executor->Observe(ids.subspan(first * options.length, batch * options.length),
                      [&](size_t weight, size_t rows, size_t width, const float* inputs) {
                        sums.Add(weight, rows, width, inputs);
                      });
    first += batch;
    if (progress && !progress(first * options.length))
      return Status{Code::kInterrupted, "calibration interrupted; nothing was written"};
  }

  HessianSet set;
  set.tokens = ids.size();
  for (const auto& [weight, mean] : sums.Means())
    set.by_weight[program.weights[weight]->name] = mean;
  for (const auto& [table, weight] : TablesBehindLinear(program)) {
    const std::string& name = program.weights[table]->name;
    if (!set.by_weight.contains(name)) set.by_weight[name] = GramOf(kernels, weights, weight);
  }
  set.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return set;
}

}  // namespace golf
