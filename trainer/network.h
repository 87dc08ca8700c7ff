// The network family of PR 598 and PR 668: a U-shaped transformer with tied embeddings, hashed bigram
// embeddings, smear gate, value embeddings, exclusive self attention in the last blocks and gated skips.
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

struct NetworkConfig {
  std::string name = "custom";  // of the program: the recipe's name
  uint32_t window = 2048;       // tokens per window in training and scoring
  uint32_t vocab_size = 1024;
  uint32_t num_layers = 11;  // the first half (rounded down) pushes skips, the rest pops them
  uint32_t model_dim = 512;
  uint32_t num_heads = 8;     // head width is model_dim / num_heads
  uint32_t num_kv_heads = 4;  // divides num_heads
  uint32_t mlp_hidden = 1536;
  bool tie_embeddings = true;  // the head is tok_emb.weight, else lm_head.weight
  double logit_softcap = 30.0;
  bool ln_scale = true;  // block i's norms are scaled by 1 / sqrt(i + 1)

  double rope_base = 10000.0;
  uint32_t rope_dims = 16;             // rotary channels per head
  uint32_t rope_train_seq_len = 1024;  // longer windows rescale the base; 0: never
  bool rope_bf16_frequencies = false;  // PR 668's run: frequencies rounded to bfloat16

  uint32_t bigram_buckets = 2048;  // rows of the bigram table; 0: no bigram embedding
  uint32_t bigram_embed_dim = 128;
  bool bigram_xor_hash =
      true;  // PR 598: XOR hash and a scale on the result; else PR 668's polynomial, no scale

  uint32_t xsa_last_n = 4;  // blocks, counted from the end, with exclusive self attention

  bool ve_enabled = true;  // value embedding: one table, added to v in ve_layers
  uint32_t ve_dim = 128;
  std::vector<uint32_t> ve_layers = {9, 10};

  // Initial values (trainer/initialise.h).
  double tied_embed_init_std = 0.005;
  double qk_gain_init = 1.5;
  bool ortho_init =
      true;  // else linear layers start uniform in +-1/sqrt(inputs) and side projections at zero
};

// What BuildNetwork relies on: divisibility, ranges, nothing empty. The message names the field.
Status CheckNetworkConfig(const NetworkConfig& config);

// The config has passed CheckNetworkConfig. Weights have the reference's state_dict names and stand in its
// serialisation order. Named values: "bigram" (projected and scaled), "emb_normed", "x0", "block<i>_in" (where a
// skip enters), "block<i>_out", "final_norm", "logits" (before the softcap), "nll".
std::unique_ptr<schema::ProgramT> BuildNetwork(const NetworkConfig& config);

}  // namespace golf
