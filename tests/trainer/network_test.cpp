#include "trainer/network.h"

#include <gtest/gtest.h>

#include <algorithm>
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

TEST(Network, HasTheNumbersOfPr1004AndPr1232) {
  const auto parameters = [](const std::string& recipe) {
    return Parameters(*BuildNetwork(Published(recipe)));
  };
  EXPECT_EQ(parameters("pr1004"), 33'317'980U);
  EXPECT_EQ(parameters("pr1004-d576"), 41'828'572U);
  EXPECT_EQ(parameters("pr1232"), 27'137'223U);
  EXPECT_EQ(parameters("pr1232-flow"), 27'137'223U + 98'625U);
  const std::vector<std::string> buckets = {"network.bigram_buckets=8192"};
  EXPECT_EQ(Parameters(*BuildNetwork(LoadRecipe("pr1004", buckets)->network)), 33'580'124U);
  EXPECT_EQ(Parameters(*BuildNetwork(LoadRecipe("pr1004-d576", buckets)->network)), 42'090'716U);
  // PR 1248 has 4 key/value heads and a smaller hashed table.
  const std::vector<std::string> pr1248 = {"network.num_kv_heads=4", "network.bigram_buckets=3072",
                                           "network.bigram_embed_dim=112"};
  EXPECT_EQ(Parameters(*BuildNetwork(LoadRecipe("pr1004", pr1248)->network)), 29'951'068U);
  // Their state_dicts have 122 entries, one of them no parameter, and 149 and 156.
  EXPECT_EQ(BuildNetwork(Published("pr1004"))->weights.size(), 121U);
  EXPECT_EQ(BuildNetwork(Published("pr1232"))->weights.size(), 149U);
  EXPECT_EQ(BuildNetwork(Published("pr1232-flow"))->weights.size(), 156U);
}

// Names and counts of the whole and of each of 11 blocks.
void ExpectTensors(const std::string& recipe, const std::map<std::string, size_t>& whole,
                   const std::map<std::string, size_t>& block) {
  auto counts = ParametersByTensor(*BuildNetwork(Published(recipe)));
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

TEST(Network, CountsParametersByTensorAsPr1004) {
  ExpectTensors("pr1004",
                {{"tok_emb.weight", 524'288},
                 {"bigram.embed.weight", 786'432},
                 {"bigram.proj.weight", 65'536},
                 {"bigram.scale", 1},
                 {"smear.gate", 512},
                 {"skip_weights", 2'560},
                 {"ve_shared.embed.weight", 131'072},
                 {"ve_shared.proj.weight", 65'536},
                 {"ve_shared.scale", 1},
                 {"ve_layer_scales.0", 1},
                 {"ve_layer_scales.1", 1}},
                {{"attn.c_q.weight", 262'144},
                 {"attn.c_k.weight", 262'144},
                 {"attn.c_v.weight", 262'144},
                 {"attn.proj.weight", 262'144},
                 {"attn.q_gain", 8},
                 {"mlp.fc.weight", 917'504},
                 {"mlp.proj.weight", 917'504},
                 {"attn_scale", 512},
                 {"mlp_scale", 512},
                 {"resid_mix", 1'024}});
}

TEST(Network, CountsParametersByTensorAsPr1232) {
  ExpectTensors("pr1232-flow",
                {{"tok_emb.weight", 524'288},
                 {"bigram.embed.weight", 524'288},
                 {"bigram.proj.weight", 65'536},
                 {"bigram.scale", 1},
                 {"smear.gate", 512},
                 {"skip_weights", 2'560},
                 {"flow_refiner.down_proj.weight", 32'768},
                 {"flow_refiner.velocity_net.0.weight", 16'384},
                 {"flow_refiner.velocity_net.0.bias", 256},
                 {"flow_refiner.velocity_net.2.weight", 16'384},
                 {"flow_refiner.velocity_net.2.bias", 64},
                 {"flow_refiner.up_proj.weight", 32'768},
                 {"flow_refiner.gate", 1}},
                {{"attn.c_q.weight", 262'144},
                 {"attn.c_k.weight", 131'072},
                 {"attn.c_v.weight", 131'072},
                 {"attn.proj.weight", 262'144},
                 {"attn.q_gain", 8},
                 {"attn.vr_lambda", 2},
                 {"attn.attn_gate.weight", 4'096},
                 {"attn.attn_gate.bias", 8},
                 {"mlp.fc.weight", 786'432},
                 {"mlp.proj.weight", 786'432},
                 {"attn_scale", 512},
                 {"mlp_scale", 512},
                 {"resid_mix", 1'024}});
}

TEST(Network, OnlyTheFirstValueResidualIsUnread) {
  const auto program = BuildNetwork(Published("pr1232-flow"));
  EXPECT_TRUE(CheckProgram(*program).ok()) << CheckProgram(*program).message();
  for (const auto& weight : program->weights) {
    EXPECT_EQ(weight->unread, weight->name == "blocks.0.attn.vr_lambda") << weight->name;
  }
}

TEST(Network, CountsParametersByTensorAsTheReference) {
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
  ExpectTensors("pr598", whole, block);
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
      config.gated_skips = config.mlp_affine = with;
      config.value_residual = config.gated_attention = !with;
      config.flow_latent_dim = config.flow_hidden_dim = with ? 0 : 8;
      config.weight_names = with ? WeightNames::kPr598 : WeightNames::kPr1004;
      ASSERT_TRUE(CheckNetworkConfig(config).ok()) << CheckNetworkConfig(config).message();
      const Status status = CheckProgram(*BuildNetwork(config));
      EXPECT_TRUE(status.ok()) << layers << ": " << status.message();
    }
  }
}

bool HasWeight(const schema::ProgramT& program, std::string_view name) {
  return std::any_of(program.weights.begin(), program.weights.end(),
                     [name](const auto& weight) { return weight->name == name; });
}

TEST(Network, TablesOfTheRightWidthHaveNoProjection) {
  NetworkConfig config;
  config.ve_layers = {1};
  config.num_layers = 3;
  for (const bool xor_hash : {false, true}) {
    config.bigram_xor_hash = xor_hash;
    config.bigram_embed_dim = config.model_dim;
    config.ve_dim = config.model_dim / config.num_heads * config.num_kv_heads;
    ASSERT_TRUE(CheckNetworkConfig(config).ok());
    const auto program = BuildNetwork(config);
    EXPECT_TRUE(CheckProgram(*program).ok()) << CheckProgram(*program).message();
    EXPECT_FALSE(HasWeight(*program, "bigram_emb.proj.weight"));
    EXPECT_FALSE(HasWeight(*program, "ve_shared.proj.weight"));
    EXPECT_TRUE(std::any_of(program->values.begin(), program->values.end(),
                            [](const auto& value) { return value->name == "bigram"; }));
  }
}

TEST(Network, OneBlockHasNoSkips) {
  NetworkConfig config;
  config.num_layers = 1;
  config.ve_layers = {0};
  ASSERT_TRUE(CheckNetworkConfig(config).ok());  // xsa_last_n is 4: all there are
  const auto program = BuildNetwork(config);
  EXPECT_TRUE(CheckProgram(*program).ok()) << CheckProgram(*program).message();
  EXPECT_FALSE(HasWeight(*program, "skip_weights"));
  EXPECT_FALSE(HasWeight(*program, "skip_gates"));
}

// As in the references, whose default is blocks 9 and 10 of any network.
TEST(Network, ValueEmbeddingsOfMissingBlocksAreUnread) {
  NetworkConfig config;
  config.num_layers = 3;
  for (const std::vector<uint32_t>& layers : {std::vector<uint32_t>{9, 10}, {2, 9}}) {
    config.ve_layers = layers;
    const auto program = BuildNetwork(config);
    EXPECT_TRUE(CheckProgram(*program).ok()) << CheckProgram(*program).message();
    EXPECT_TRUE(HasWeight(*program, "ve_layer_scales.1"));
  }
}

TEST(Network, NoRotaryChannelsMeansAll) {
  NetworkConfig config;
  config.rope_dims = 0;
  ASSERT_TRUE(CheckNetworkConfig(config).ok());
  const auto program = BuildNetwork(config);
  for (const auto& step : program->steps) {
    const auto* prepare = step->operation.AsQkPrepare();
    EXPECT_TRUE(prepare == nullptr || prepare->rope_dims == 64);
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
  EXPECT_NE(message([](auto& c) { c.flow_latent_dim = 8; }).find("flow_hidden_dim"),
            std::string::npos);
  EXPECT_EQ(message([](auto& c) { c.xsa_last_n = 4'294'967'295U; }), "");  // all blocks
}

}  // namespace
}  // namespace golf
