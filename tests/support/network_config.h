// NetworkConfig from the "config" object of a golden manifest. PR 598 and PR 668 name every field as we do; PR 1004 and
// PR 1232 name some otherwise, and leave out what their scripts have no option for; a case says in "run" which other value it
// gave that.
#pragma once
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

#include "trainer/network.h"

namespace golf::test {

inline bool IsOfPr1004Or1232(const nlohmann::json& config) {
  return config.contains("bigram_vocab_size");
}

inline void ReadPr1004Or1232(const nlohmann::json& config, NetworkConfig& c) {
  const bool is_1232 = config.contains("value_residual") || config.contains("gated_attention");
  if (config.value("dtg", false)) throw std::runtime_error("config: there is no depth gate here");
  c.weight_names = WeightNames::kPr1004;
  c.mlp_hidden = static_cast<uint32_t>(config.at("mlp_mult").get<double>() * c.model_dim);
  c.mlp_affine = false;
  c.mlp_negative_slope = is_1232 ? 0.5 : 0.0;
  c.gated_skips = false;
  c.bigram_buckets = config.at("bigram_vocab_size");
  c.bigram_embed_dim = config.at("bigram_dim");
  c.bigram_xor_hash = true;
  c.ve_enabled = config.value("ve_enabled", false);
  c.value_residual = config.value("value_residual", false);
  c.gated_attention = config.value("gated_attention", false);
  if (config.value("flow_enabled", false)) {
    c.flow_latent_dim = config.value("flow_latent_dim", 64U);
    c.flow_hidden_dim = config.value("flow_hidden_dim", 256U);
  }
}

inline NetworkConfig NetworkConfigFromManifest(
    const nlohmann::json& config, uint32_t window,
    const nlohmann::json& run = nlohmann::json::object()) {
  NetworkConfig c;
  const auto read = [&config](const char* name, auto& field) {
    if (config.contains(name)) config.at(name).get_to(field);
  };
  c.window = window;
  read("vocab_size", c.vocab_size);
  read("num_layers", c.num_layers);
  read("model_dim", c.model_dim);
  read("num_heads", c.num_heads);
  read("num_kv_heads", c.num_kv_heads);
  read("mlp_hidden", c.mlp_hidden);
  read("tie_embeddings", c.tie_embeddings);
  read("tied_embed_init_std", c.tied_embed_init_std);
  read("logit_softcap", c.logit_softcap);
  read("rope_base", c.rope_base);
  read("rope_dims", c.rope_dims);
  read("rope_train_seq_len", c.rope_train_seq_len);
  read("qk_gain_init", c.qk_gain_init);
  read("ln_scale", c.ln_scale);
  read("bigram_buckets", c.bigram_buckets);
  read("bigram_embed_dim", c.bigram_embed_dim);
  read("bigram_xor_hash", c.bigram_xor_hash);
  read("xsa_last_n", c.xsa_last_n);
  read("ve_enabled", c.ve_enabled);
  read("ve_dim", c.ve_dim);
  read("ortho_init", c.ortho_init);
  if (config.contains("ve_layers")) {  // "9,10"
    c.ve_layers.clear();
    std::stringstream list(config.at("ve_layers").get<std::string>());
    for (std::string item; std::getline(list, item, ',');) {
      if (!item.empty()) c.ve_layers.push_back(static_cast<uint32_t>(std::stoul(item)));
    }
  }
  if (IsOfPr1004Or1232(config)) ReadPr1004Or1232(config, c);
  if (run.contains("rotary_train_seq_len"))
    run.at("rotary_train_seq_len").get_to(c.rope_train_seq_len);
  return c;
}

}  // namespace golf::test
