#include "trainer/initialise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/base/bf16.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

NetworkConfig Small() {
  NetworkConfig config;
  config.num_layers = 4;
  config.model_dim = 64;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.mlp_hidden = 96;
  config.rope_dims = 8;
  config.bigram_buckets = 128;
  config.bigram_embed_dim = 32;
  config.xsa_last_n = 2;
  config.ve_dim = 16;
  config.ve_layers = {2, 3};
  return config;
}

class Initial : public testing::Test {
 protected:
  void Make(uint64_t seed = 42) {
    program_ = BuildNetwork(config_);
    weights_ = InitialWeights(config_, *program_, seed);
  }
  std::span<const float> Of(const std::string& name) {
    const size_t i = weights_.Find(name);
    EXPECT_LT(i, weights_.count()) << name;
    return weights_[i];
  }
  double RootMeanSquare(const std::string& name) {
    double squares = 0;
    for (const float x : Of(name)) squares += double{x} * x;
    return std::sqrt(squares / static_cast<double>(Of(name).size()));
  }
  void ExpectAll(const std::string& name, float value) {
    for (const float x : Of(name)) ASSERT_EQ(x, value) << name;
  }
  // Rows or columns, whichever are fewer, are orthogonal with norm `gain`, up to bfloat16.
  void ExpectOrthogonal(const std::string& name, double gain) {
    const std::span<const uint32_t> shape = weights_.shape(weights_.Find(name));
    const std::span<const float> w = Of(name);
    const size_t rows = shape[0], cols = shape[1], n = std::min(rows, cols),
                 len = std::max(rows, cols);
    const auto at = [&](size_t vector, size_t k) {
      return rows < cols ? w[vector * cols + k] : w[k * cols + vector];
    };
    for (size_t a = 0; a < n; ++a) {
      for (size_t b = a; b < n; ++b) {
        double dot = 0;
        for (size_t k = 0; k < len; ++k) dot += double{at(a, k)} * at(b, k);
        ASSERT_NEAR(dot / (gain * gain), a == b ? 1 : 0, 0.02) << name << " " << a << " " << b;
      }
    }
  }

  NetworkConfig config_ = Small();
  std::unique_ptr<schema::ProgramT> program_;
  TensorSet weights_;
};

TEST_F(Initial, LinearLayersAreOrthogonalAndOutputsZero) {
  Make();
  for (const char* name : {"blocks.0.attn.c_q.weight", "blocks.1.attn.c_k.weight",
                           "blocks.2.attn.c_v.weight", "blocks.3.mlp.up_proj.weight"}) {
    ExpectOrthogonal(name, 1);
  }
  ExpectOrthogonal("bigram_emb.proj.weight", 1 / std::sqrt(8.0));
  ExpectOrthogonal("ve_shared.proj.weight", 1 / std::sqrt(8.0));
  ExpectAll("blocks.0.attn.proj.weight", 0);
  ExpectAll("blocks.3.mlp.down_proj.weight", 0);
}

TEST_F(Initial, GainsAndGatesAreNeutral) {
  Make();
  ExpectAll("skip_weights", 1);
  ExpectAll("skip_gates", 0);
  ExpectAll("smear_gate.gate", 0);
  ExpectAll("blocks.1.attn_scale", 1);
  ExpectAll("blocks.1.mlp.scale", 1);
  ExpectAll("blocks.1.mlp.bias", 0);
  ExpectAll("blocks.1.attn.q_gain", 1.5);
  ExpectAll("bigram_emb.scale", 0.050048828125F);
  ExpectAll("ve_shared.scale", 0.10009765625F);
  ExpectAll("ve_layer_scales.0", 1);
  const std::span<const float> mix = Of("blocks.2.resid_mix");
  for (size_t i = 0; i < mix.size(); ++i) ASSERT_EQ(mix[i], i < mix.size() / 2 ? 1.0F : 0.0F);
}

TEST_F(Initial, WhatPr1232AddsStartsAsThere) {
  config_.weight_names = WeightNames::kPr1004;
  config_.value_residual = config_.gated_attention = true;
  config_.flow_latent_dim = 16;
  config_.flow_hidden_dim = 48;
  Make();
  ExpectAll("bigram.embed.weight", 0);
  ExpectOrthogonal("bigram.proj.weight", 1 / std::sqrt(8.0));
  ExpectAll("smear.gate", 0);
  ExpectAll("blocks.2.mlp.proj.weight", 0);
  ExpectOrthogonal("blocks.2.mlp.fc.weight", 1);
  ExpectAll("blocks.2.attn.vr_lambda", 0.5);
  ExpectAll("blocks.2.attn.attn_gate.weight", 0);
  ExpectAll("blocks.2.attn.attn_gate.bias", 4);
  ExpectAll("flow_refiner.gate", -5);
  ExpectOrthogonal("flow_refiner.down_proj.weight", 1);
  ExpectOrthogonal("flow_refiner.velocity_net.0.weight", 1);
  ExpectOrthogonal("flow_refiner.up_proj.weight", 1);
  ExpectAll("flow_refiner.velocity_net.2.weight", 0);
  ExpectAll("flow_refiner.velocity_net.0.bias", 0);
}

TEST_F(Initial, TablesFollowTheHash) {
  Make();
  ExpectAll("bigram_emb.embed.weight", 0);
  config_.bigram_xor_hash = false;
  Make();
  EXPECT_NEAR(RootMeanSquare("bigram_emb.embed.weight"), 0.01, 0.001);
  EXPECT_NEAR(RootMeanSquare("tok_emb.weight"), 0.005, 0.0005);
}

TEST_F(Initial, EveryValueIsABfloat16) {
  Make();
  for (const float x : weights_.all()) ASSERT_EQ(ToFloat(FromFloat<bf16>(x)), x);
}

TEST_F(Initial, DependsOnSeedAndNameOnly) {
  Make(1);
  const std::vector<float> first(weights_.all().begin(), weights_.all().end());
  const std::vector<float> query(Of("blocks.0.attn.c_q.weight").begin(),
                                 Of("blocks.0.attn.c_q.weight").end());
  Make(1);
  EXPECT_TRUE(std::ranges::equal(first, weights_.all()));
  config_.ve_enabled = false;
  Make(1);
  EXPECT_TRUE(std::ranges::equal(query, Of("blocks.0.attn.c_q.weight")));
  Make(2);
  EXPECT_FALSE(std::ranges::equal(query, Of("blocks.0.attn.c_q.weight")));
}

TEST_F(Initial, WithoutOrthogonalPassLayersAreUniform) {
  config_.ortho_init = false;
  Make();
  for (const float x : Of("blocks.0.attn.c_q.weight")) ASSERT_LE(std::abs(x), 0.1251F);
  ExpectAll("bigram_emb.proj.weight", 0);
  ExpectAll("ve_shared.proj.weight", 0);
}

}  // namespace
}  // namespace golf
