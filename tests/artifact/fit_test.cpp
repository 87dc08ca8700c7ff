#include "artifact/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "kernels/threads.h"
#include "tests/artifact/samples.h"

namespace golf::test {
namespace {

SampleTensors LayeredNetwork(int layers) {
  SampleTensors t;
  t.Add("tok_emb.weight", {100, 96});
  for (int i = 0; i < layers; ++i) {
    const std::string block = "blocks." + std::to_string(i);
    t.Add(block + ".attn_scale", {96});
    t.Add(block + ".attn.c_q.weight", {96, 96}, 0.1F);
    t.Add(block + ".mlp.fc.weight", {192, 96}, 0.1F + 0.02F * static_cast<float>(i));
  }
  return t;
}

struct Fitter {
  SampleTensors network = LayeredNetwork(4);
  std::vector<TensorView> views = network.views();
  StreamCache cache;

  FitTask Task(uint64_t max_bytes) {
    FitTask task{views, {}, 3, max_bytes, {}};
    task.artifact_bytes = [this](std::span<const EncodedTensor> tensors, int level) -> uint64_t {
      return SerialiseArtifact({SampleProgram(), SampleTokenizer(), {}, tensors}, level, &cache)
          .size();
    };
    return task;
  }
};

TEST(Fit, UsesItsBudgetAndLosesNoMoreThanItMust) {
  Fitter fitter;
  const auto unconstrained = FitByError(*FindPacking("int6"), fitter.Task(UINT64_MAX));
  ASSERT_TRUE(unconstrained.ok() && unconstrained->fits);
  const uint64_t whole =
      fitter.Task(0).artifact_bytes(unconstrained->tensors, unconstrained->level);
  double loss = 1e300;
  for (const uint64_t percent : {40, 55, 70, 85, 100}) {
    const uint64_t budget = whole * percent / 100;
    const FitTask task = fitter.Task(budget);
    const auto fit = FitByError(*FindPacking("int6"), task);
    ASSERT_TRUE(fit.ok()) << fit.status().message();
    ASSERT_TRUE(fit->fits) << percent;
    const uint64_t bytes = task.artifact_bytes(fit->tensors, fit->level);
    EXPECT_LE(bytes, budget);
    EXPECT_GE(static_cast<double>(bytes), 0.98 * static_cast<double>(budget)) << percent;
    EXPECT_LT(fit->loss, loss) << percent;
    EXPECT_GT(std::ranges::count(fit->path, bytes, &FitTry::bytes), 0);
    loss = fit->loss;
  }
}

TEST(Fit, GivesTheSmallestItFoundWhereNothingFits) {
  Fitter fitter;
  const auto fit = FitByError(*FindPacking("int6"), fitter.Task(3000));
  ASSERT_TRUE(fit.ok());
  EXPECT_FALSE(fit->fits);
  EXPECT_FALSE(fit->tensors.empty());
}

TEST(Fit, RefusesWhatCannotBeQuantised) {
  for (const size_t tensor : {0, 1}) {  // one that becomes codes, one that stays floats
    Fitter fitter;
    fitter.network.data[tensor][3] = NAN;
    const auto fit = FitByError(*FindPacking("int6"), fitter.Task(30000));
    EXPECT_EQ(fit.status().code(), Code::kBadNumbers) << tensor;
    EXPECT_THAT(fit.status().message(), testing::HasSubstr(fitter.network.names[tensor]));
    EXPECT_EQ(FitByLadder(*FindPacking("pr1232"), fitter.Task(30000)).status().code(),
              Code::kBadNumbers);
  }
}

TEST(Fit, PrunesBelowTheLastStep) {
  Fitter fitter;
  const auto none = FitByError(*FindPacking("int6"), fitter.Task(3000));
  ASSERT_TRUE(none.ok() && !none->fits);
  uint64_t coarsest = UINT64_MAX;
  for (const FitTry& tried : none->path) {
    if (tried.what.find("pruned") == std::string::npos) coarsest = std::min(coarsest, tried.bytes);
  }
  const FitTask task = fitter.Task(coarsest * 8 / 10);
  const auto fit = FitByError(*FindPacking("int6"), task);
  ASSERT_TRUE(fit.ok() && fit->fits);
  EXPECT_LE(task.artifact_bytes(fit->tensors, fit->level), task.max_bytes);
  EXPECT_THAT(fit->path.back().what, testing::HasSubstr("% pruned"));
  EXPECT_GT(fit->pruned, 0.2);
}

// One matrix has a dozen sizes; what is between two of them is left to pruning.
TEST(Fit, PrunesWhereStepsAreTooCoarse) {
  SampleTensors network;
  network.Add("blocks.0.mlp.fc.weight", {200, 192});
  const auto views = network.views();
  FitTask task{views, {}, 3, 0, [](std::span<const EncodedTensor> tensors, int level) -> uint64_t {
                 return Serialise(tensors, level).size();
               }};
  const uint64_t whole = Serialise(Encode(network, *FindPacking("int6")), 1).size();
  size_t pruned = 0;
  for (const uint64_t percent : {60, 65, 70, 75, 80}) {
    task.max_bytes = whole * percent / 100;
    const auto fit = FitByError(*FindPacking("int6"), task);
    ASSERT_TRUE(fit.ok() && fit->fits) << percent;
    EXPECT_LE(task.artifact_bytes(fit->tensors, fit->level), task.max_bytes);
    for (const FitTry& tried : fit->path) pruned += tried.what.find("pruned") != std::string::npos;
  }
  EXPECT_GT(pruned, 0U);
}

// A matrix of zeros is as small with one step as with another.
TEST(Fit, TakesNoStepThatSavesNothing) {
  Fitter fitter;
  for (size_t i = 0; i < fitter.network.names.size(); ++i)
    std::ranges::fill(fitter.network.data[i], 0.0F);
  const auto fit = FitByError(*FindPacking("int6"), fitter.Task(100));
  ASSERT_TRUE(fit.ok()) << fit.status().message();
  EXPECT_FALSE(fit->fits);
  EXPECT_EQ(fit->tensors[0].encoding.highest, 127);
}

// Of vectors alone there is nothing to take away.
TEST(Fit, SaysThatVectorsDoNotFit) {
  SampleTensors network;
  network.Add("blocks.0.attn_scale", {960});
  const auto views = network.views();
  const FitTask task{
      views, {}, 3, 300, [](std::span<const EncodedTensor> tensors, int level) -> uint64_t {
        return Serialise(tensors, level).size();
      }};
  const auto fit = FitByError(*FindPacking("float"), task);
  ASSERT_TRUE(fit.ok()) << fit.status().message();
  EXPECT_FALSE(fit->fits);
  EXPECT_THAT(fit->path[0].what, testing::HasSubstr("int0.00 on average"));
}

// PR 598 keeps what has up to 65,536 weights as fp32, here all there is. Pruning the rest of such a network to nothing, to
// make room for floats, was worth a bit per byte.
TEST(Fit, CodesMatricesThatThePackingKeepsAsFloats) {
  Fitter fitter;
  const uint64_t int6 =
      fitter.Task(0).artifact_bytes(*EncodeTensors(*FindPacking("int6"), fitter.views), 3);
  const FitTask task = fitter.Task(int6);
  const auto ours = FitByError(*FindPacking("int6"), task);
  ASSERT_TRUE(ours.ok() && ours->fits);
  for (const char* name : {"pr598", "pr1004", "float"}) {
    const auto fit = FitByError(*FindPacking(name), task);
    ASSERT_TRUE(fit.ok() && fit->fits) << name;
    EXPECT_LT(fit->pruned, 0.05) << name;
    EXPECT_LT(fit->loss, 1.25 * ours->loss) << name;  // fp32 vectors take bytes from the codes
  }
  // With room for them, floats stay floats.
  const auto wide = FitByError(*FindPacking("float"), fitter.Task(UINT64_MAX));
  ASSERT_TRUE(wide.ok());
  EXPECT_EQ(wide->loss, 0);
  EXPECT_EQ(wide->tensors, *EncodeTensors(*FindPacking("float"), fitter.views));
}

// Which class of the scripts a tensor of more than 65,536 weights belongs to: the largest code, or 0 for floats.
TEST(Packing, ClassesAreThoseOfTheScripts) {
  const std::vector<float> data(521 * 128);
  const std::vector<uint32_t> shape = {521, 128};
  const auto largest_code = [&](const char* preset, const char* name) {
    const Packing packing = *FindPacking(preset);
    const PackingRule& rule = RuleOf(packing, {name, shape, data});
    const auto* codes = std::get_if<QuantiserSettings>(&rule.encoding);
    return codes == nullptr ? 0 : int{codes->encoding.highest};
  };
  for (const auto& [preset, linear, table, gain] :
       {std::tuple{"pr598", 31, 127, 127}, std::tuple{"pr1004", 15, 127, 0},
        std::tuple{"pr1232", 31, 127, 0}}) {
    for (const char* name : {"blocks.0.attn.c_q.weight", "blocks.3.mlp.fc.weight",
                             "bigram.proj.weight", "ve_shared.proj.weight", "any.proj.weight"})
      EXPECT_EQ(largest_code(preset, name), linear) << preset << " " << name;
    for (const char* name : {"tok_emb.weight", "lm_head.weight", "bigram.embed.weight",
                             "ve_shared.embed.weight", "flow_refiner.down_proj.weight"})
      EXPECT_EQ(largest_code(preset, name), table) << preset << " " << name;
    EXPECT_EQ(largest_code(preset, "skip_weights"), gain) << preset;
  }
}

TEST(DefaultPacking, IsThatOfThePublishedRecipe) {
  EXPECT_EQ(DefaultPacking("pr598"), "pr598");
  EXPECT_EQ(DefaultPacking("pr1004-d576"), "pr1004");
  EXPECT_EQ(DefaultPacking("pr1232-flow"), "pr1232");
  for (const char* other : {"nano", "", "pr5980", "float", "my-pr598"})
    EXPECT_EQ(DefaultPacking(other), "int6") << other;
}

TEST(Fit, DoesNotDependOnThreads) {
  const int threads = Threads();
  SetThreads(1);
  Fitter a;
  const auto one = FitByError(*FindPacking("int6"), a.Task(35000));
  SetThreads(3);
  Fitter b;
  const auto three = FitByError(*FindPacking("int6"), b.Task(35000));
  SetThreads(threads);
  EXPECT_EQ(one->tensors, three->tensors);
  EXPECT_EQ(one->level, three->level);
}

TEST(FitLadder, WidensFromTheMiddleOutwardsTheHigherFirst) {
  EXPECT_THAT(LadderOrder(11), testing::ElementsAre(5, 6, 4, 7, 3, 8, 2, 9, 1, 10, 0));
  EXPECT_THAT(LadderOrder(4), testing::ElementsAre(2, 3, 1, 0));
  EXPECT_THAT(LadderOrder(0), testing::IsEmpty());
}

TEST(FitLadder, CountsLayersByTheirTensorsNames) {
  const std::vector<std::pair<std::string, size_t>> cases = {
      {"tok_emb.weight", 0}, {"blocks.0.mlp.fc.weight", 1}, {"blocks.2", 3},
      {"blocks.x", 0},       {"blocks..weight", 0},         {"blocks.1x.weight", 0}};
  for (const auto& [name, layers] : cases) {
    SampleTensors network;
    network.Add(name, {8, 8});
    const auto views = network.views();
    FitTask task{views, {}, 3, 0, [](std::span<const EncodedTensor>, int) { return 100; }};
    const auto fit = FitByLadder(*FindPacking("pr1232"), task);
    ASSERT_TRUE(fit.ok());
    EXPECT_EQ(fit->path.size(), 4 * (layers + 1)) << name;
  }
}

TEST(FitLadder, TakesTheFirstThatFits) {
  SampleTensors network;
  for (int i = 0; i < 3; ++i)
    network.Add("blocks." + std::to_string(i) + ".mlp.fc.weight", {260, 256}, 1.0F);
  const auto views = network.views();
  StreamCache cache;
  FitTask task{views, {}, 3, 0, {}};
  task.artifact_bytes = [&](std::span<const EncodedTensor> tensors, int level) -> uint64_t {
    return SerialiseArtifact({SampleProgram(), SampleTokenizer(), {}, tensors}, level, &cache)
        .size();
  };
  const Packing packing = *FindPacking("pr1232");
  const auto bytes_with = [&](std::vector<int> layers) {
    return task.artifact_bytes(*EncodeTensors(WithInt5Layers(packing, layers), views), 1);
  };
  const auto highest = [](const FitResult& fit, size_t i) {
    return int{fit.tensors[i].encoding.highest};
  };
  task.max_bytes = 10 * bytes_with({});
  auto fit = FitByLadder(packing, task);
  ASSERT_TRUE(fit.ok() && fit->fits);
  EXPECT_EQ(fit->path.size(), 1U);
  EXPECT_EQ(fit->level, 16);
  EXPECT_EQ(highest(*fit, 1), 31);

  task.max_bytes = (bytes_with({1}) + bytes_with({})) / 2;
  fit = FitByLadder(packing, task);
  ASSERT_TRUE(fit.ok() && fit->fits);
  EXPECT_EQ(fit->path.size(), 5U) << "four levels of int6, then one";
  EXPECT_EQ(highest(*fit, 0), 31);
  EXPECT_EQ(highest(*fit, 1), 15);
  EXPECT_EQ(highest(*fit, 2), 31);

  task.max_bytes = 100;
  fit = FitByLadder(packing, task);
  ASSERT_TRUE(fit.ok());
  EXPECT_FALSE(fit->fits);
  EXPECT_EQ(fit->path.size(), 16U);
  EXPECT_EQ(highest(*fit, 0), 15);
  EXPECT_EQ(FitByLadder(*FindPacking("int6"), task).status().code(), Code::kUsage);
}

}  // namespace
}  // namespace golf::test
