#include "trainer/network.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "kernels/base/tensor_view.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "trainer/recipe.h"

namespace golf {
namespace {

NetworkConfig Published(const std::string& recipe) {
  const Result<Recipe> loaded = LoadRecipe(recipe);
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  return loaded->network;
}

size_t Parameters(const schema::ProgramT& program) {
  size_t n = 0;
  for (const auto& weight : program.weights) n += ElementCount(weight->shape);
  return n;
}

std::map<std::string, size_t> ParametersByTensor(const schema::ProgramT& program) {
  std::map<std::string, size_t> counts;
  for (const auto& weight : program.weights) counts[weight->name] = ElementCount(weight->shape);
  return counts;
}

TEST(Network, HasThePublishedNumberOfParameters) {
  const auto pr598 = BuildNetwork(Published("pr598")), pr668 = BuildNetwork(Published("pr668"));
  EXPECT_EQ(Parameters(*pr598), 27'030'108U);
  EXPECT_EQ(pr598->weights.size(), 144U);
  EXPECT_EQ(Parameters(*pr668), 27'030'107U);
  EXPECT_EQ(pr668->weights.size(), 143U);
}

TEST(Network, CountsParametersByTensorAsTheReference) {
  auto counts = ParametersByTensor(*BuildNetwork(Published("pr598")));
  const std::map<std::string, size_t> whole = {{"skip_weights", 2'560},
                                               {"skip_gates", 2'560},
                                               {"tok_emb.weight", 524'288},
                                               {"bigram_emb.scale", 1},
                                               {"bigram_emb.embed.weight", 262'144},
                                               {"bigram_emb.proj.weight", 65'536},
                                               {"smear_gate.gate", 512},
                                               {"ve_shared.scale", 1},
                                               {"ve_shared.embed.weight", 131'072},
                                               {"ve_shared.proj.weight", 32'768},
                                               {"ve_layer_scales.0", 1},
                                               {"ve_layer_scales.1", 1}};
  const std::map<std::string, size_t> block = {{"attn_scale", 512},
                                               {"mlp_scale", 512},
                                               {"resid_mix", 1'024},
                                               {"attn.q_gain", 8},
                                               {"attn.c_q.weight", 262'144},
                                               {"attn.c_k.weight", 131'072},
                                               {"attn.c_v.weight", 131'072},
                                               {"attn.proj.weight", 262'144},
                                               {"mlp.scale", 1'536},
                                               {"mlp.bias", 1'536},
                                               {"mlp.up_proj.weight", 786'432},
                                               {"mlp.down_proj.weight", 786'432}};
  for (const auto& [name, count] : whole) {
    EXPECT_EQ(counts[name], count) << name;
    counts.erase(name);
  }
  for (int i = 0; i < 11; ++i) {
    for (const auto& [name, count] : block) {
      const std::string full =
          std::string("blocks.").append(std::to_string(i)).append(".").append(name);
      EXPECT_EQ(counts[full], count) << full;
      counts.erase(full);
    }
  }
  EXPECT_TRUE(counts.empty()) << counts.begin()->first;
}

TEST(Network, ListsWeightsInSerialisationOrder) {
  const auto program = BuildNetwork(Published("pr598"));
  const std::vector<std::string> first = {"skip_weights",
                                          "skip_gates",
                                          "tok_emb.weight",
                                          "bigram_emb.scale",
                                          "bigram_emb.embed.weight",
                                          "bigram_emb.proj.weight",
                                          "smear_gate.gate",
                                          "blocks.0.attn_scale"};
  for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(program->weights[i]->name, first[i]);
  EXPECT_EQ(program->weights[18]->name, "blocks.0.mlp.down_proj.weight");
  EXPECT_EQ(program->weights.back()->name, "ve_layer_scales.1");
}

TEST(Network, PassesTheProgramCheckInEveryShape) {
  NetworkConfig config;
  config.ve_layers = {1};
  for (const uint32_t layers : {2U, 3U, 6U, 7U}) {
    for (const bool with : {false, true}) {
      config.num_layers = layers;
      config.xsa_last_n = with ? 1 : 0;
      config.ve_enabled = with;
      config.bigram_buckets = with ? 64 : 0;
      config.tie_embeddings = with;
      ASSERT_TRUE(CheckNetworkConfig(config).ok()) << CheckNetworkConfig(config).message();
      const Status status = CheckProgram(*BuildNetwork(config));
      EXPECT_TRUE(status.ok()) << layers << ": " << status.message();
    }
  }
}

TEST(Network, NamesTheValuesThatTestsAndToolsLookFor) {
  std::set<std::string> names;
  const auto program = BuildNetwork(Published("pr598"));
  for (const auto& value : program->values) names.insert(value->name);
  for (const char* name : {"bigram", "emb_normed", "x0", "block0_out", "block5_in", "block9_in",
                           "block10_out", "final_norm", "logits", "nll"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_FALSE(names.contains("block10_in"));  // no skip is left for the last block
}

TEST(Network, RefusesImpossibleConfigsByField) {
  const auto message = [](auto change) {
    NetworkConfig config;
    change(config);
    return CheckNetworkConfig(config).message();
  };
  EXPECT_NE(message([](auto& c) { c.num_heads = 7; }).find("num_heads"), std::string::npos);
  EXPECT_NE(message([](auto& c) { c.num_kv_heads = 3; }).find("num_kv_heads"), std::string::npos);
  EXPECT_NE(message([](auto& c) { c.rope_dims = 15; }).find("rope_dims"), std::string::npos);
  EXPECT_NE(message([](auto& c) { c.ve_layers = {11}; }).find("ve_layers"), std::string::npos);
  EXPECT_NE(message([](auto& c) { c.xsa_last_n = 12; }).find("xsa_last_n"), std::string::npos);
}

}  // namespace
}  // namespace golf
