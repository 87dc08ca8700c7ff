// What golf-pack packs: weights with the program they belong to, from a checkpoint or from safetensors and a recipe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "artifact/shard_facts.h"
#include "artifact/tokenizer_info.h"
#include "kernels/base/status.h"
#include "runtime/weights.h"

namespace golf {

struct PackInputFlags {
  std::string path;     // *.ckpt or *.safetensors, told apart by content
  std::string weights;  // checkpoint: "ema", "raw", "swa"; empty: ema where there is one
  std::string recipe;   // safetensors: name or file
  std::vector<std::string> overrides;  // of the recipe, "key=value"
  std::string tokenizer;  // SentencePiece model; a checkpoint that carries its own needs none
  bool hash = false;      // compute the file's SHA-256
};

struct PackInput {
  std::vector<uint8_t> program;  // serialised
  std::string recipe;            // the name in it
  TensorSet weights;             // in program order, complete
  TokenizerInfo tokenizer;
  std::string tokenizer_path;  // the file that it came from
  std::string weights_name;    // "ema", "raw", "swa", "safetensors"
  uint64_t step = 0;
  std::string sha256 = {};              // of the file, where wanted
  std::vector<std::string> notes;       // on tensors that were not taken as they stood in the file
  std::optional<double> train_seconds;  // of its steps; safetensors do not say
  // Of the checkpoint; empty: not known.
  std::vector<ShardFacts> training_shards = {}, validation_shards = {};
};

// kUsage if a flag is missing or does not belong to this kind of input; kBadData if the weights are not the program's.
Result<PackInput> LoadPackInput(const PackInputFlags& flags);

// The group of a checkpoint that `weights` ("ema", "raw", "swa" or empty for the best there is) means: "ema", "weights" or
// "swa".
Result<std::string> CheckpointGroup(const class Checkpoint& checkpoint, const std::string& weights);

}  // namespace golf
