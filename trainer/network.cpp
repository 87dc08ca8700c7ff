#include "trainer/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/limits.h"
#include "runtime/program.h"
#include "trainer/program_builder.h"

namespace golf {
namespace {

using ValueId = ProgramBuilder::ValueId;

struct Names {
  const char *bigram, *smear, *mlp_up, *mlp_down;
};

Names NamesOf(WeightNames names) {
  return names == WeightNames::kPr598
             ? Names{"bigram_emb.", "smear_gate.gate", "mlp.up_proj.weight", "mlp.down_proj.weight"}
             : Names{"bigram.", "smear.gate", "mlp.fc.weight", "mlp.proj.weight"};
}

// Builds one network. Each method appends one piece; D is model_dim, K*D_h the width of keys and values.
class Network {
 public:
  explicit Network(const NetworkConfig& config)
      : config_(config),
        head_dim_(config.model_dim / config.num_heads),
        kv_dim_(head_dim_ * config.num_kv_heads),
        encoder_layers_(config.num_layers / 2),
        names_(NamesOf(config.weight_names)),
        builder_(config.name, config.vocab_size, config.window) {}

  std::unique_ptr<schema::ProgramT> Build() {
    DeclareWeights();
    const ValueId x0 = Front();
    ValueId x = x0;
    std::vector<ValueId> skips;  // outputs of the encoder blocks, taken from the back
    for (uint32_t i = 0; i < config_.num_layers; ++i) {
      if (i >= encoder_layers_ && !skips.empty()) {
        x = Skip(i, x, skips.back());
        skips.pop_back();
      }
      x = Block(i, x, x0);
      if (i < encoder_layers_) skips.push_back(x);
    }
    Head(x);
    return builder_.Finish();
  }

 private:
  bool HasBigram() const { return config_.bigram_buckets > 0; }
  bool HasBigramScale() const { return HasBigram() && config_.bigram_xor_hash; }
  bool HasBigramProjection() const { return config_.bigram_embed_dim != config_.model_dim; }
  bool HasValueProjection() const { return config_.ve_dim != kv_dim_; }
  bool HasRefiner() const { return config_.flow_latent_dim > 0; }
  std::string BigramWeight(const char* name) const { return names_.bigram + std::string(name); }
  bool HasValueEmbedding() const { return config_.ve_enabled && !config_.ve_layers.empty(); }

  // The reference's serialisation order, which is not the order of use.
  void DeclareWeights() {
    const NetworkConfig& c = config_;
    const uint32_t d = c.model_dim;
    if (encoder_layers_ > 0) {
      builder_.DeclareWeight("skip_weights", {encoder_layers_, d});
      if (c.gated_skips) builder_.DeclareWeight("skip_gates", {encoder_layers_, d});
    }
    builder_.DeclareWeight("tok_emb.weight", {c.vocab_size, d});
    if (HasBigramScale()) builder_.DeclareWeight(BigramWeight("scale"), {});
    if (HasBigram()) {
      builder_.DeclareWeight(BigramWeight("embed.weight"), {c.bigram_buckets, c.bigram_embed_dim});
      if (HasBigramProjection())
        builder_.DeclareWeight(BigramWeight("proj.weight"), {d, c.bigram_embed_dim});
    }
    builder_.DeclareWeight(names_.smear, {d});
    for (uint32_t i = 0; i < c.num_layers; ++i) DeclareBlockWeights(i);
    if (HasValueEmbedding()) {
      // The references have a scale for a block that does not exist, too.
      const auto missing = [&c](uint32_t layer) { return layer >= c.num_layers; };
      const bool unread = std::all_of(c.ve_layers.begin(), c.ve_layers.end(), missing);
      builder_.DeclareWeight("ve_shared.scale", {}, unread);
      builder_.DeclareWeight("ve_shared.embed.weight", {c.vocab_size, c.ve_dim}, unread);
      if (HasValueProjection())
        builder_.DeclareWeight("ve_shared.proj.weight", {kv_dim_, c.ve_dim}, unread);
      for (size_t i = 0; i < c.ve_layers.size(); ++i)
        builder_.DeclareWeight(fmt::format("ve_layer_scales.{}", i), {1}, missing(c.ve_layers[i]));
    }
    if (HasRefiner()) DeclareRefinerWeights();
    if (!c.tie_embeddings) builder_.DeclareWeight("lm_head.weight", {c.vocab_size, d});
  }

  void DeclareBlockWeights(uint32_t i) {
    const std::string block = fmt::format("blocks.{}.", i);
    const uint32_t d = config_.model_dim, hidden = config_.mlp_hidden;
    builder_.DeclareWeight(block + "attn_scale", {d});
    builder_.DeclareWeight(block + "mlp_scale", {d});
    builder_.DeclareWeight(block + "resid_mix", {2, d});
    builder_.DeclareWeight(block + "attn.q_gain", {config_.num_heads});
    if (config_.value_residual) builder_.DeclareWeight(block + "attn.vr_lambda", {2}, i == 0);
    builder_.DeclareWeight(block + "attn.c_q.weight", {d, d});
    builder_.DeclareWeight(block + "attn.c_k.weight", {kv_dim_, d});
    builder_.DeclareWeight(block + "attn.c_v.weight", {kv_dim_, d});
    builder_.DeclareWeight(block + "attn.proj.weight", {d, d});
    if (config_.gated_attention) {
      builder_.DeclareWeight(block + "attn.attn_gate.weight", {config_.num_heads, d});
      builder_.DeclareWeight(block + "attn.attn_gate.bias", {config_.num_heads});
    }
    if (config_.mlp_affine) {
      builder_.DeclareWeight(block + "mlp.scale", {hidden});
      builder_.DeclareWeight(block + "mlp.bias", {hidden});
    }
    builder_.DeclareWeight(block + names_.mlp_up, {hidden, d});
    builder_.DeclareWeight(block + names_.mlp_down, {d, hidden});
  }

  void DeclareRefinerWeights() {
    const uint32_t d = config_.model_dim, r = config_.flow_latent_dim, h = config_.flow_hidden_dim;
    builder_.DeclareWeight("flow_refiner.gate", {});
    builder_.DeclareWeight("flow_refiner.down_proj.weight", {r, d});
    builder_.DeclareWeight("flow_refiner.velocity_net.0.weight", {h, r});
    builder_.DeclareWeight("flow_refiner.velocity_net.0.bias", {h});
    builder_.DeclareWeight("flow_refiner.velocity_net.2.weight", {r, h});
    builder_.DeclareWeight("flow_refiner.velocity_net.2.bias", {r});
    builder_.DeclareWeight("flow_refiner.up_proj.weight", {d, r});
  }

  // Embedding-like and gate layers stay out of quantisation-aware training, as in the references.
  ValueId FullLinear(std::string output, uint32_t width, ValueId x, std::string_view weight) {
    schema::LinearT linear;
    linear.fake_quant = false;
    return builder_.Add(std::move(output), width, linear, {x}, {weight});
  }

  // Token (+ bigram) embedding, norm, smear: the value that every block mixes back in.
  ValueId Front() {
    const uint32_t d = config_.model_dim;
    ValueId x = builder_.Add("tok_emb", d, schema::EmbeddingT{}, {}, {"tok_emb.weight"});
    if (HasBigram()) {
      const ValueId bigram = Bigram();
      x = builder_.Add("emb_sum", d, schema::AddT{}, {x, bigram});
    }
    x = builder_.Add("emb_normed", d, schema::RmsNormT{}, {x});
    return builder_.Add("x0", d, schema::SmearT{}, {x}, {names_.smear});
  }

  ValueId Bigram() {
    const uint32_t d = config_.model_dim;
    schema::HashEmbeddingT lookup;
    lookup.hash =
        config_.bigram_xor_hash ? schema::HashKind::XorPrimes : schema::HashKind::Polynomial;
    // "bigram" is the last of up to three: rows, projected, scaled.
    const bool projected = HasBigramProjection(), scaled = HasBigramScale();
    ValueId x = builder_.Add(projected || scaled ? "bigram_rows" : "bigram",
                             config_.bigram_embed_dim, lookup, {}, {BigramWeight("embed.weight")});
    if (projected) {
      x = builder_.Add(scaled ? "bigram_projected" : "bigram", d, schema::LinearT{}, {x},
                       {BigramWeight("proj.weight")});
    }
    if (!scaled) return x;
    return builder_.Add("bigram", d, schema::ScaleT{}, {x}, {BigramWeight("scale")});
  }

  // Computed where it is first wanted, then shared.
  ValueId ValueEmbedding() {
    if (!value_embedding_) {
      ValueId x = builder_.Add("ve_rows", config_.ve_dim, schema::EmbeddingT{}, {},
                               {"ve_shared.embed.weight"});
      if (HasValueProjection()) {
        x = builder_.Add("ve_projected", kv_dim_, schema::LinearT{}, {x},
                         {"ve_shared.proj.weight"});
      }
      value_embedding_ = builder_.Add("ve", kv_dim_, schema::ScaleT{}, {x}, {"ve_shared.scale"});
    }
    return *value_embedding_;
  }

  ValueId Skip(uint32_t block, ValueId x, ValueId skip) {
    const std::string name = fmt::format("block{}_in", block);
    const uint32_t row = block - encoder_layers_;
    if (config_.gated_skips) {
      schema::GatedSkipT gated;
      gated.row = row;
      return builder_.Add(name, config_.model_dim, gated, {x, skip},
                          {"skip_weights", "skip_gates"});
    }
    schema::ScaledAddT added;
    added.row = row;
    return builder_.Add(name, config_.model_dim, added, {x, skip}, {"skip_weights"});
  }

  ValueId Block(uint32_t i, ValueId x, ValueId x0) {
    const uint32_t d = config_.model_dim;
    const std::string w = fmt::format("blocks.{}.", i);
    const std::string name = fmt::format("block{}_", i);
    schema::RmsNormT norm;
    norm.scale = config_.ln_scale ? 1.0 / std::sqrt(i + 1.0) : 1.0;

    x = builder_.Add(name + "mixed", d, schema::MixT{}, {x, x0}, {w + "resid_mix"});
    const ValueId attention_in = builder_.Add(name + "attn_norm", d, norm, {x});
    const ValueId attended = Attention(i, attention_in);
    x = builder_.Add(name + "mid", d, schema::ScaledAddT{}, {x, attended}, {w + "attn_scale"});

    const ValueId mlp_in = builder_.Add(name + "mlp_norm", d, norm, {x});
    ValueId h = builder_.Add(name + "mlp_up", config_.mlp_hidden, schema::LinearT{}, {mlp_in},
                             {w + names_.mlp_up});
    schema::SquaredReluT activation;
    activation.negative_slope = config_.mlp_negative_slope;
    h = config_.mlp_affine ? builder_.Add(name + "mlp_act", config_.mlp_hidden, activation, {h},
                                          {w + "mlp.scale", w + "mlp.bias"})
                           : builder_.Add(name + "mlp_act", config_.mlp_hidden, activation, {h});
    h = builder_.Add(name + "mlp_down", d, schema::LinearT{}, {h}, {w + names_.mlp_down});
    return builder_.Add(name + "out", d, schema::ScaledAddT{}, {x, h}, {w + "mlp_scale"});
  }

  ValueId Attention(uint32_t i, ValueId x) {
    const NetworkConfig& c = config_;
    const uint32_t d = c.model_dim;
    const std::string w = fmt::format("blocks.{}.attn.", i);
    const std::string name = fmt::format("block{}_", i);
    ValueId q = builder_.Add(name + "q_raw", d, schema::LinearT{}, {x}, {w + "c_q.weight"});
    ValueId k = builder_.Add(name + "k_raw", kv_dim_, schema::LinearT{}, {x}, {w + "c_k.weight"});
    ValueId v = builder_.Add(name + "v_raw", kv_dim_, schema::LinearT{}, {x}, {w + "c_v.weight"});
    if (i == 0) first_value_ = v;

    const auto ve_layer = std::find(c.ve_layers.begin(), c.ve_layers.end(), i);
    if (c.ve_enabled && ve_layer != c.ve_layers.end()) {
      v = builder_.Add(name + "v", kv_dim_, schema::ScaledAddT{}, {v, ValueEmbedding()},
                       {fmt::format("ve_layer_scales.{}", ve_layer - c.ve_layers.begin())});
    }
    if (c.value_residual && i > 0) {
      v = builder_.Add(name + "v_mixed", kv_dim_, schema::MixT{}, {first_value_, v},
                       {w + "vr_lambda"});
    }

    schema::QkPrepareT prepare;
    prepare.head_dim = head_dim_;
    prepare.rope_dims = c.rope_dims == 0 ? head_dim_ : c.rope_dims;
    prepare.rope_base = c.rope_base;
    prepare.train_length = c.rope_train_seq_len;
    prepare.bf16_frequencies = c.rope_bf16_frequencies;
    q = builder_.Add(name + "q", d, prepare, {q}, {w + "q_gain"});
    k = builder_.Add(name + "k", kv_dim_, prepare, {k});

    schema::AttentionT attention;
    attention.heads = c.num_heads;
    attention.kv_heads = c.num_kv_heads;
    attention.head_dim = head_dim_;
    ValueId y = builder_.Add(name + "attn", d, attention, {q, k, v});
    if (c.num_layers - i <= c.xsa_last_n) {
      schema::XsaT xsa;
      xsa.heads = c.num_heads;
      xsa.kv_heads = c.num_kv_heads;
      xsa.head_dim = head_dim_;
      y = builder_.Add(name + "xsa", d, xsa, {y, v});
    }
    if (c.gated_attention) y = GateHeads(name, w, y, x);
    return builder_.Add(name + "attn_proj", d, schema::LinearT{}, {y}, {w + "proj.weight"});
  }

  // y times a gate per head, read off the attention's input x.
  ValueId GateHeads(const std::string& name, const std::string& w, ValueId y, ValueId x) {
    const uint32_t heads = config_.num_heads;
    ValueId z = FullLinear(name + "gate_raw", heads, x, w + "attn_gate.weight");
    z = builder_.Add(name + "gate", heads, schema::BiasT{}, {z}, {w + "attn_gate.bias"});
    schema::HeadGateT gate;
    gate.heads = heads;
    return builder_.Add(name + "gated", config_.model_dim, gate, {y, z});
  }

  // FlowRefiner: x + sigmoid(gate) Wu (z + W2 gelu(W1 z + b1) + b2), z = Wd x.
  ValueId Refine(ValueId x) {
    const uint32_t d = config_.model_dim, r = config_.flow_latent_dim, h = config_.flow_hidden_dim;
    const std::string w = "flow_refiner.", net = w + "velocity_net.";
    const ValueId z = FullLinear("flow_latent", r, x, w + "down_proj.weight");
    ValueId v = FullLinear("flow_up", h, z, net + "0.weight");
    v = builder_.Add("flow_hidden", h, schema::BiasT{}, {v}, {net + "0.bias"});
    v = builder_.Add("flow_act", h, schema::GeluT{}, {v});
    v = FullLinear("flow_down", r, v, net + "2.weight");
    v = builder_.Add("flow_velocity", r, schema::BiasT{}, {v}, {net + "2.bias"});
    v = builder_.Add("flow_moved", r, schema::AddT{}, {z, v});
    v = FullLinear("flow_out", d, v, w + "up_proj.weight");
    return builder_.Add("refined", d, schema::GatedAddT{}, {x, v}, {w + "gate"});
  }

  void Head(ValueId x) {
    x = builder_.Add("final_norm", config_.model_dim, schema::RmsNormT{}, {x});
    if (HasRefiner()) x = Refine(x);
    x = FullLinear("logits", config_.vocab_size, x,
                   config_.tie_embeddings ? "tok_emb.weight" : "lm_head.weight");
    schema::SoftcapCrossEntropyT loss;
    loss.softcap = config_.logit_softcap;
    builder_.Add("nll", 1, loss, {x});
  }

  const NetworkConfig& config_;
  const uint32_t head_dim_, kv_dim_, encoder_layers_;
  const Names names_;
  ProgramBuilder builder_;
  ValueId first_value_ = 0;  // block 0's v, before anything is added or mixed
  std::optional<ValueId> value_embedding_;
};

}  // namespace

Status CheckNetworkConfig(const NetworkConfig& c) {
  const auto bad = [](const std::string& what) { return Status(Code::kUsage, "network." + what); };
  if (c.window == 0 || c.window > 65536) {
    return bad(fmt::format("window: expected 1 to 65536, found {}", c.window));
  }
  if (c.vocab_size == 0 || c.vocab_size > 65536) {
    return bad(fmt::format("vocab_size: expected 1 to 65536 (tokens are 16 bits), found {}",
                           c.vocab_size));
  }
  if (c.num_layers == 0 || c.num_layers > 1024) {
    return bad(fmt::format("num_layers: expected 1 to 1024, found {}", c.num_layers));
  }
  if (c.model_dim == 0 || c.mlp_hidden == 0) return bad("model_dim, mlp_hidden: must not be 0");
  if (c.num_heads == 0 || c.model_dim % c.num_heads != 0) {
    return bad(fmt::format("num_heads: expected a divisor of model_dim {}, found {}", c.model_dim,
                           c.num_heads));
  }
  if (c.num_kv_heads == 0 || c.num_heads % c.num_kv_heads != 0) {
    return bad(fmt::format("num_kv_heads: expected a divisor of num_heads {}, found {}",
                           c.num_heads, c.num_kv_heads));
  }
  const uint32_t head_dim = c.model_dim / c.num_heads;
  if (head_dim > kMaxHeadWidth) {
    return bad(
        fmt::format("num_heads: expected at least {} for model_dim {}, so that a head is no "
                    "wider than {}; found {}",
                    (c.model_dim + kMaxHeadWidth - 1) / kMaxHeadWidth, c.model_dim, kMaxHeadWidth,
                    c.num_heads));
  }
  if (c.xsa_last_n > 0 && c.num_heads / c.num_kv_heads > kMaxXsaGroup) {
    return bad(
        fmt::format("num_kv_heads: expected at least {} for num_heads {}, since xsa takes "
                    "{} query heads for each; found {}",
                    (c.num_heads + kMaxXsaGroup - 1) / kMaxXsaGroup, c.num_heads, kMaxXsaGroup,
                    c.num_kv_heads));
  }
  const uint32_t rope_dims = c.rope_dims == 0 ? head_dim : c.rope_dims;
  if (rope_dims % 2 != 0 || rope_dims > head_dim) {
    return bad(fmt::format(
        "rope_dims: expected an even number up to the head width {0}, or 0 for all {0}, found {1}",
        head_dim, c.rope_dims));
  }
  if (!(c.rope_base > 0)) return bad(fmt::format("rope_base: expected > 0, found {}", c.rope_base));
  if (c.rope_train_seq_len > 0 && c.window > c.rope_train_seq_len && rope_dims == 2) {
    return bad(
        "rope_dims: the base cannot be rescaled with 2 rotary channels; set "
        "rope_train_seq_len = 0");
  }
  if (!std::isfinite(c.mlp_negative_slope)) return bad("mlp_negative_slope: expected a number");
  if (c.flow_latent_dim > 0 && c.flow_hidden_dim == 0) {
    return bad("flow_hidden_dim: must not be 0 where there is a flow_latent_dim");
  }
  if (!(c.logit_softcap > 0)) {
    return bad(fmt::format("logit_softcap: expected > 0, found {}", c.logit_softcap));
  }
  if (c.bigram_buckets == 1) return bad("bigram_buckets: expected 0 (none) or at least 2, found 1");
  if (c.bigram_buckets > 0 && c.bigram_embed_dim == 0)
    return bad("bigram_embed_dim: must not be 0");
  if (c.ve_enabled && c.ve_dim == 0) return bad("ve_dim: must not be 0");
  for (size_t i = 0; i < c.ve_layers.size(); ++i) {
    if (c.ve_layers[i] >= c.num_layers) {
      return bad(fmt::format("ve_layers: there is no block {}", c.ve_layers[i]));
    }
    if (std::count(c.ve_layers.begin(), c.ve_layers.end(), c.ve_layers[i]) > 1) {
      return bad(fmt::format("ve_layers: block {} stands twice", c.ve_layers[i]));
    }
  }
  if (!(c.tied_embed_init_std >= 0)) {
    return bad(fmt::format("tied_embed_init_std: expected >= 0, found {}", c.tied_embed_init_std));
  }
  // Whatever a network of these numbers would ask of an operation.
  const Status program = CheckProgram(*BuildNetwork(c));
  return program.ok() ? program : Status(Code::kUsage, "network: " + program.message());
}

NetworkConfig WithEveryPart(const NetworkConfig& config) {
  NetworkConfig c = config;
  c.num_layers = std::max(c.num_layers, 2U);  // skips
  c.bigram_buckets = std::max(c.bigram_buckets, 2U);
  c.bigram_embed_dim = c.model_dim + 1;  // unlike the model's width: a projection
  c.bigram_xor_hash = true;
  c.mlp_affine = c.gated_skips = c.value_residual = c.gated_attention = c.ve_enabled = true;
  if (c.ve_layers.empty()) c.ve_layers = {0};
  c.ve_dim = c.model_dim + 1;
  c.flow_latent_dim = c.flow_hidden_dim = 1;
  c.tie_embeddings = false;
  return c;
}

std::unique_ptr<schema::ProgramT> BuildNetwork(const NetworkConfig& config) {
  return Network(config).Build();
}

}  // namespace golf
