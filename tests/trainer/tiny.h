// A network and a text small enough to train a step in a millisecond.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "artifact/token_shard.h"
#include "kernels/table.h"
#include "trainer/random.h"

namespace golf::test {

// 3 layers of width 16, windows of 8 tokens, 2 slices of 2 windows per step, 12 steps, every optimizer kind.
inline const std::string kTinyRecipe = R"(
name = "tiny"
[network]
window = 8
vocab_size = 32
num_layers = 3
model_dim = 16
num_heads = 2
num_kv_heads = 1
mlp_hidden = 24
rope_dims = 4
rope_train_seq_len = 0
bigram_buckets = 16
bigram_embed_dim = 8
xsa_last_n = 1
ve_dim = 8
ve_layers = [2]
[train]
precision = "fp32"
ema_decay = 0.9
[batch]
tokens = 32
slices = 2
micro_windows = 1
[schedule]
iterations = 12
warmdown_iters = 8
[muon]
momentum_warmup_steps = 4
[[group]]
name = "token"
rule = "adamw"
lr = 0.02
weights = ["tok_emb.weight"]
[[group]]
name = "matrix"
rule = "muon"
lr = 0.02
decoder_lr_mult = 2.0
weight_decay = 0.04
weights = ["blocks.*.weight"]
[[group]]
name = "rest"
rule = "adamw"
lr = 0.02
weights = ["*"]
[late_qat]
enabled = true
threshold = 0.5
[validation]
every = 5
batch_windows = 3
)";

inline const KernelTable& Kernels() {
  const Result<const KernelTable*> kernels = CpuKernels();
  EXPECT_TRUE(kernels.ok()) << kernels.status().message();
  return **kernels;
}

// Tokens with some structure: each is the last one plus 0..3, modulo 32.
inline std::vector<uint16_t> TinyTokens(size_t count, uint64_t seed) {
  std::vector<float> steps(count);
  Philox(seed, 0).FillUniform(0, 4, steps);
  std::vector<uint16_t> tokens(count);
  for (size_t i = 1; i < count; ++i)
    tokens[i] = static_cast<uint16_t>((tokens[i - 1] + static_cast<int>(steps[i])) % 32);
  return tokens;
}

// A new empty folder of its own for each test.
inline std::string TestFolder() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  std::string folder = testing::TempDir() + "golf_" + info->test_suite_name() + "_" + info->name();
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

}  // namespace golf::test
