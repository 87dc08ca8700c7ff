// The network family of PR 598, 668, 1004 and 1232: a U-shaped transformer with tied embeddings, hashed bigram
// embeddings, smear gate, exclusive self attention in the last blocks and skips, gated or added; with value embeddings
// (PR 598, 668, 1004), or value residual, gated attention and a refiner of the last hidden state (PR 1232).
// A recipe fills NetworkConfig; BuildNetwork turns it into a program (schemas/program.fbs). Nothing after this
// knows architectures: the executor, the packer and the scorer see operations only.
//
// Fields carry the names of the reference scripts' constructor arguments.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

namespace schema {
struct ProgramT;
}

// Whose state_dict the weights are named after.
//   kPr598   bigram_emb.*, smear_gate.gate, mlp.up_proj, mlp.down_proj    PR 598, 668
//   kPr1004  bigram.*, smear.gate, mlp.fc, mlp.proj                       PR 1004, 1232
enum class WeightNames { kPr598, kPr1004 };

struct NetworkConfig {
  std::string name = "custom";  // of the program: the recipe's name
  WeightNames weight_names = WeightNames::kPr598;
  uint32_t window = 2048;  // tokens per window in training and scoring
  uint32_t vocab_size = 1024;
  uint32_t num_layers = 11;  // the first half (rounded down) pushes skips, the rest pops them
  uint32_t model_dim = 512;
  uint32_t num_heads = 8;     // head width is model_dim / num_heads
  uint32_t num_kv_heads = 4;  // divides num_heads
  uint32_t mlp_hidden = 1536;
  double mlp_negative_slope = 0;  // of the ReLU that is squared
  double logit_softcap = 30.0;
  bool mlp_affine = true;      // scale and bias per unit after the squared ReLU
  bool gated_skips = true;     // sigmoid(gate) x + (1 - sigmoid(gate)) w skip, else x + w skip
  bool tie_embeddings = true;  // the head is tok_emb.weight, else lm_head.weight
  bool ln_scale = true;        // block i's norms are scaled by 1 / sqrt(i + 1)

  double rope_base = 10000.0;
  uint32_t rope_dims = 16;             // rotary channels per head; 0: all
  uint32_t rope_train_seq_len = 1024;  // longer windows rescale the base; 0: never
  bool rope_bf16_frequencies = false;  // PR 668's run: frequencies rounded to bfloat16

  uint32_t bigram_buckets = 2048;   // rows of the bigram table; 0: no bigram embedding
  uint32_t bigram_embed_dim = 128;  // where it is model_dim, no projection follows
  // PR 598: XOR hash and a scale on the result; else PR 668's polynomial, no scale.
  bool bigram_xor_hash = true;

  uint32_t xsa_last_n = 4;  // last blocks with exclusive self attention; beyond num_layers: all

  bool ve_enabled = true;  // value embedding: one table, added to v in ve_layers
  uint32_t ve_dim = 128;   // where it is the width of the values, no projection follows
  std::vector<uint32_t> ve_layers = {9, 10};

  // Blocks from 1: v <- l0 v_of_block_0 + l1 v; block 0 has an unread pair.
  bool value_residual = false;
  bool gated_attention = false;  // a gate per token and head on what a block's attention yields

  uint32_t flow_latent_dim = 0;  // FlowRefiner between final norm and head: its width; 0: none
  uint32_t flow_hidden_dim = 0;

  // Initial values (trainer/initialise.h).
  double tied_embed_init_std = 0.005;
  double qk_gain_init = 1.5;
  // False: linear layers start uniform in +-1/sqrt(inputs) and side projections at zero.
  bool ortho_init = true;
};

// What BuildNetwork relies on: divisibility, ranges, nothing empty. The message names the field.
Status CheckNetworkConfig(const NetworkConfig& config);

// The same network with every optional part, whether the config has it or not: for the names of all weights that a network
// of this kind can have.
NetworkConfig WithEveryPart(const NetworkConfig& config);

// The config has passed CheckNetworkConfig. Weights have the reference's state_dict names and stand in its
// serialisation order. Named values: "bigram" (projected and scaled), "emb_normed", "x0", "block<i>_in" (where a
// skip enters), "block<i>_out", "final_norm", "refined" (where there is a FlowRefiner), "logits" (before the softcap),
// "nll".
std::unique_ptr<schema::ProgramT> BuildNetwork(const NetworkConfig& config);

}  // namespace golf
