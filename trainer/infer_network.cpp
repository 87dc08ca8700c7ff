#include "trainer/infer_network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "kernels/base/block_name.h"

namespace golf {
namespace {

using Shape = std::span<const uint32_t>;

class Weights {
 public:
  explicit Weights(std::span<const TensorView> weights) {
    for (const TensorView& w : weights) shapes_.emplace(w.name, w.shape);
  }

  bool Has(std::string_view name) const { return shapes_.contains(name); }
  bool HasPrefix(std::string_view prefix) const {
    const auto at = shapes_.lower_bound(prefix);
    return at != shapes_.end() && at->first.starts_with(prefix);
  }
  // Extent `axis` of a weight; `otherwise` where there is no such weight or axis.
  uint32_t Extent(std::string_view name, size_t axis, uint32_t otherwise) const {
    const auto at = shapes_.find(name);
    return at == shapes_.end() || axis >= at->second.size() ? otherwise : at->second[axis];
  }
  uint32_t blocks() const {
    uint32_t blocks = 0;
    for (const auto& [name, shape] : shapes_) {
      if (const auto block = BlockOf(name)) blocks = std::max(blocks, *block + 1);
    }
    return blocks;
  }

 private:
  std::map<std::string_view, Shape> shapes_;
};

void InferBlocks(const Weights& w, NetworkConfig& c) {
  const bool pr598 = c.weight_names == WeightNames::kPr598;
  if (const uint32_t blocks = w.blocks(); blocks > 0) c.num_layers = blocks;
  c.num_heads = w.Extent("blocks.0.attn.q_gain", 0, c.num_heads);
  if (c.num_heads > 0 && c.model_dim >= c.num_heads) {
    const uint32_t head_dim = c.model_dim / c.num_heads;
    c.num_kv_heads = w.Extent("blocks.0.attn.c_k.weight", 0, head_dim * c.num_kv_heads) / head_dim;
  }
  c.mlp_hidden =
      w.Extent(pr598 ? "blocks.0.mlp.up_proj.weight" : "blocks.0.mlp.fc.weight", 0, c.mlp_hidden);
  c.mlp_affine = w.Has("blocks.0.mlp.scale");
  c.value_residual = w.Has("blocks.0.attn.vr_lambda");
  c.gated_attention = w.Has("blocks.0.attn.attn_gate.weight");
  if (c.num_layers > 1) c.gated_skips = w.Has("skip_gates");
}

void InferValueEmbedding(const Weights& w, NetworkConfig& c) {
  c.ve_enabled = w.Has("ve_shared.embed.weight");
  if (!c.ve_enabled) return;
  c.ve_dim = w.Extent("ve_shared.embed.weight", 1, c.ve_dim);
  uint32_t count = 0;
  while (count < c.num_layers && w.Has(fmt::format("ve_layer_scales.{}", count))) ++count;
  const bool placed = c.ve_layers.size() == count &&
                      std::all_of(c.ve_layers.begin(), c.ve_layers.end(),
                                  [&c](uint32_t layer) { return layer < c.num_layers; });
  if (placed) return;
  c.ve_layers.clear();
  for (uint32_t i = c.num_layers - count; i < c.num_layers; ++i) c.ve_layers.push_back(i);
}

}  // namespace

NetworkConfig InferNetwork(NetworkConfig c, std::span<const TensorView> weights) {
  const Weights w(weights);
  if (w.Has("smear_gate.gate")) c.weight_names = WeightNames::kPr598;
  if (w.Has("smear.gate")) c.weight_names = WeightNames::kPr1004;
  c.vocab_size = w.Extent("tok_emb.weight", 0, c.vocab_size);
  c.model_dim = w.Extent("tok_emb.weight", 1, c.model_dim);
  c.tie_embeddings = !w.Has("lm_head.weight");
  InferBlocks(w, c);
  const std::string bigram = c.weight_names == WeightNames::kPr598 ? "bigram_emb." : "bigram.";
  c.bigram_buckets = w.Extent(bigram + "embed.weight", 0, 0);
  if (c.bigram_buckets > 0) {
    c.bigram_embed_dim = w.Extent(bigram + "embed.weight", 1, c.bigram_embed_dim);
    c.bigram_xor_hash = w.Has(bigram + "scale");
  }
  InferValueEmbedding(w, c);
  c.flow_latent_dim = w.Extent("flow_refiner.down_proj.weight", 0, 0);
  c.flow_hidden_dim = w.Extent("flow_refiner.velocity_net.0.weight", 0, 0);
  return c;
}

std::vector<std::string> NetworkChanges(const NetworkConfig& from, const NetworkConfig& to) {
  std::vector<std::string> changes;
  const auto compare = [&](const char* key, const auto& a, const auto& b) {
    if (a != b) changes.push_back(fmt::format("network.{}={}", key, b));
  };
  if (from.weight_names != to.weight_names) {
    changes.push_back(to.weight_names == WeightNames::kPr598 ? "network.weight_names=pr598"
                                                             : "network.weight_names=pr1004");
  }
  compare("vocab_size", from.vocab_size, to.vocab_size);
  compare("num_layers", from.num_layers, to.num_layers);
  compare("model_dim", from.model_dim, to.model_dim);
  compare("num_heads", from.num_heads, to.num_heads);
  compare("num_kv_heads", from.num_kv_heads, to.num_kv_heads);
  compare("mlp_hidden", from.mlp_hidden, to.mlp_hidden);
  compare("mlp_affine", from.mlp_affine, to.mlp_affine);
  compare("gated_skips", from.gated_skips, to.gated_skips);
  compare("tie_embeddings", from.tie_embeddings, to.tie_embeddings);
  compare("bigram_buckets", from.bigram_buckets, to.bigram_buckets);
  compare("bigram_embed_dim", from.bigram_embed_dim, to.bigram_embed_dim);
  compare("bigram_xor_hash", from.bigram_xor_hash, to.bigram_xor_hash);
  compare("ve_enabled", from.ve_enabled, to.ve_enabled);
  compare("ve_dim", from.ve_dim, to.ve_dim);
  if (from.ve_layers != to.ve_layers)
    changes.push_back(fmt::format("'network.ve_layers=[{}]'", fmt::join(to.ve_layers, ",")));
  compare("value_residual", from.value_residual, to.value_residual);
  compare("gated_attention", from.gated_attention, to.gated_attention);
  compare("flow_latent_dim", from.flow_latent_dim, to.flow_latent_dim);
  compare("flow_hidden_dim", from.flow_hidden_dim, to.flow_hidden_dim);
  return changes;
}

}  // namespace golf
