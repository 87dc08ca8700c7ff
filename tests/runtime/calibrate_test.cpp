#include "runtime/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/table.h"
#include "kernels/threads.h"
#include "runtime/generate.h"
#include "tests/runtime/small_network.h"

namespace golf::test {
namespace {

constexpr uint32_t kVocab = 50, kWindow = 24;

struct Network {
  std::unique_ptr<schema::ProgramT> program = BuildNetwork(SmallNetworkConfig(kVocab, kWindow));
  TensorSet weights = RandomWeights(*program);
  const KernelTable& kernels = **CpuKernels();

  HessianSet Collect(std::span<const int32_t> ids, size_t batch) const {
    auto hessians = CollectHessians(kernels, *program, weights, ids, {kWindow, batch});
    EXPECT_TRUE(hessians.ok()) << hessians.status().message();
    return *hessians;
  }
  std::vector<int32_t> Text(const GenerateOptions& options) const {
    auto text = Generate(kernels, *program, weights, options);
    EXPECT_TRUE(text.ok()) << text.status().message();
    return *text;
  }
};

std::vector<int32_t> RandomIds(size_t n) {
  std::mt19937 random(11);
  std::vector<int32_t> ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % kVocab);
  return ids;
}

TEST(Calibrate, HessiansAreMeanProductsOfTheLayersInputs) {
  const Network n;
  const std::vector<int32_t> ids = RandomIds(3 * kWindow);
  const HessianSet hessians = n.Collect(ids, 2);
  EXPECT_EQ(hessians.tokens, ids.size());
  ExecutorOptions options;
  options.mode = Mode::kObserve;
  options.batch = 3;
  auto executor = Executor::Create(n.kernels, *n.program, n.weights, options);
  ASSERT_TRUE(executor.ok());
  size_t seen = 0;
  (*executor)->Observe(ids, [&](size_t weight, size_t rows, size_t width, const float* x) {
    const std::string& name = n.program->weights[weight]->name;
    const std::span<const float> h = hessians.Find(name);
    ASSERT_EQ(h.size(), width * width) << name;
    ++seen;
    for (size_t i = 0; i < width; i += 5) {
      for (size_t j = 0; j < width; j += 3) {
        double sum = 0, size = 0;
        for (size_t r = 0; r < rows; ++r) {
          const double product =
              static_cast<double>(x[r * width + i]) * static_cast<double>(x[r * width + j]);
          sum += product;
          size += std::fabs(product);
        }
        const auto count = static_cast<double>(rows);
        EXPECT_NEAR(static_cast<double>(h[i * width + j]), sum / count, 1e-6 * size / count + 1e-12)
            << name;
      }
    }
  });
  EXPECT_GT(seen, 30U);
}

TEST(Calibrate, LayersWithTheSameInputsShareAHessian) {
  const Network n;
  const HessianSet h = n.Collect(RandomIds(kWindow), 1);
  const auto of = [&](const std::string& weight) { return h.by_weight.at(weight); };
  EXPECT_EQ(of("blocks.1.attn.c_q.weight"), of("blocks.1.attn.c_k.weight"));
  EXPECT_EQ(of("blocks.1.attn.c_q.weight"), of("blocks.1.attn.c_v.weight"));
  EXPECT_NE(of("blocks.1.attn.c_q.weight"), of("blocks.2.attn.c_q.weight"));
  EXPECT_EQ(of("tok_emb.weight")->size(), 32U * 32U);           // by the logits
  EXPECT_EQ(of("bigram_emb.embed.weight")->size(), 16U * 16U);  // by the projection behind it
}

TEST(Calibrate, DoesNotDependOnThreads) {
  const Network n;
  const std::vector<int32_t> ids = RandomIds(3 * kWindow);
  const int threads = Threads();
  SetThreads(1);
  const HessianSet one = n.Collect(ids, 2);
  SetThreads(3);
  const HessianSet three = n.Collect(ids, 2);
  SetThreads(threads);
  for (const auto& [weight, matrix] : one.by_weight)
    EXPECT_EQ(*matrix, *three.by_weight.at(weight)) << weight;
}

TEST(Calibrate, RefusesTokensBeyondTheVocabularyAndStopsWhenTold) {
  const Network n;
  std::vector<int32_t> ids = RandomIds(2 * kWindow);
  const auto stop = [](uint64_t) { return false; };
  EXPECT_EQ(
      CollectHessians(n.kernels, *n.program, n.weights, ids, {kWindow, 1}, stop).status().code(),
      Code::kInterrupted);
  ids[7] = kVocab;
  EXPECT_EQ(CollectHessians(n.kernels, *n.program, n.weights, ids, {kWindow, 1}).status().code(),
            Code::kBadData);
}

// At a temperature near zero each token is the one that the scorer finds likeliest behind the tokens before it.
TEST(Generate, KeepsWhatTheScorerWouldHaveComputedAnew) {
  const Network n;
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const std::vector<int32_t> text =
        n.Text({.windows = 3, .length = kWindow, .temperature = 1e-4, .precision = precision});
    ExecutorOptions options;
    options.batch = 3;
    options.precision = precision;
    auto executor = Executor::Create(n.kernels, *n.program, n.weights, options);
    ASSERT_TRUE(executor.ok());
    std::vector<float> nll(text.size()), every(kVocab);
    (*executor)->Score(text, {}, text, nll);
    for (size_t row = 0; row < text.size(); ++row) {
      if (row % kWindow == kWindow - 1) continue;
      (*executor)->ScoreEveryTarget(row, every);
      EXPECT_EQ(every[static_cast<size_t>(text[row + 1])], *std::ranges::min_element(every)) << row;
    }
  }
}

TEST(Generate, GivesTheSameTextForAnyBatchAndNumberOfThreads) {
  const Network n;
  GenerateOptions options{.windows = 5, .length = kWindow, .batch = 5};
  const std::vector<int32_t> text = n.Text(options);
  EXPECT_GT(std::set<int32_t>(text.begin(), text.end()).size(), 10U) << "not one token for ever";
  const int threads = Threads();
  SetThreads(3);
  options.batch = 2;
  EXPECT_EQ(n.Text(options), text);
  SetThreads(threads);
  options.seed = 43;
  EXPECT_NE(n.Text(options), text);
}

}  // namespace
}  // namespace golf::test
