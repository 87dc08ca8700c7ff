// A small network of the PR 598/668 family with random weights in which every operation contributes, and a way to pack it.
#pragma once
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "artifact/artifact_write.h"
#include "artifact/file.h"
#include "artifact/packing.h"
#include "runtime/program.h"
#include "runtime/weights.h"
#include "schemas/program_generated.h"
#include "trainer/network.h"

namespace golf::test {

inline NetworkConfig SmallNetworkConfig(uint32_t vocab_size, uint32_t window) {
  NetworkConfig c;
  c.name = "small";
  c.window = window;
  c.vocab_size = vocab_size;
  c.num_layers = 5;
  c.model_dim = 32;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.mlp_hidden = 48;
  c.rope_dims = 4;
  c.bigram_buckets = 64;
  c.bigram_embed_dim = 16;
  c.xsa_last_n = 2;
  c.ve_dim = 8;
  c.ve_layers = {3, 4};
  return c;
}

inline TensorSet RandomWeights(const schema::ProgramT& program, unsigned seed = 7) {
  TensorSet weights(program);
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0F, 0.15F);
  for (size_t i = 0; i < weights.count(); ++i) {
    const bool matrix = weights.shape(i).size() == 2 && weights.name(i).ends_with(".weight");
    for (float& w : weights[i]) w = normal(rng) + (matrix ? 0.0F : 0.7F);
  }
  return weights;
}

// Packs with a preset and writes the artifact; any error is a failed precondition of the test.
inline void WriteArtifact(const std::string& path, const schema::ProgramT& program,
                          std::span<const TensorView> tensors, const ByteTable& bytes,
                          const std::string& preset, int level = 3,
                          std::vector<ShardFacts> trained_on = {},
                          std::vector<ShardFacts> calibrated_on = {}) {
  const std::vector<uint8_t> serialised = SerialiseProgram(program);
  const std::vector<EncodedTensor> encoded = *EncodeTensors(*FindPacking(preset), tensors);
  const TokenizerInfo tokenizer{std::string(64, '7'), bytes};
  const Provenance provenance{
      "test", preset, "random", 0, std::move(trained_on), std::move(calibrated_on)};
  const auto file = SerialiseArtifact({serialised, tokenizer, provenance, encoded}, level);
  if (!WriteFileAtomically(path, file).ok()) std::abort();
}

inline std::vector<TensorView> Views(const TensorSet& weights) {
  std::vector<TensorView> views;
  for (size_t i = 0; i < weights.count(); ++i) views.push_back(weights.view(i));
  return views;
}

}  // namespace golf::test
