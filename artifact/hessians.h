// Hessians of linear layers: for each weight (R, C) the mean of x x^T over its inputs x on calibration text, (C, C). Layers with
// the same inputs share one. Collected by runtime/calibrate.h, used by GPTQ, kept in a file that packing can use again.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/shard_facts.h"
#include "kernels/base/status.h"

namespace golf {

struct CheckpointContents;

struct HessianSet {
  using Matrix = std::shared_ptr<const std::vector<float>>;  // (C, C), symmetric
  std::map<std::string, Matrix, std::less<>> by_weight;
  uint64_t tokens = 0;                  // of calibration text
  double seconds = 0;                   // that collecting them took; 0: not known
  std::string source;                   // where it came from: "self", or a shard
  std::vector<ShardFacts> shards = {};  // of that text; empty: not known, or none
  std::vector<uint8_t> program;         // of the network that read it, serialised

  // Whether it was read from shards, which the challenge's clock for training has to cover.
  bool took_data() const { return source != "self"; }
  // Empty where there is none.
  std::span<const float> Find(std::string_view weight) const {
    const auto at = by_weight.find(weight);
    return at == by_weight.end() ? std::span<const float>() : std::span<const float>(*at->second);
  }
};

// The file is a checkpoint (checkpoint.h: checksums, atomic) with one group "hessians": the upper triangles, row by row, one
// for all weights that share it, and an integer "hessian of <weight>" for each weight: which one is its own.
Status WriteHessians(const std::string& path, const HessianSet& hessians);

// kBadData unless the file is whole, each triangle is one, finite and with a diagonal that is not negative, and each weight
// has a triangle. Nothing is allocated before; the matrices take at most twice the bytes of the file.
Result<HessianSet> ReadHessians(const std::string& path);
// The same for a checkpoint that was read.
Result<HessianSet> HessiansOf(const CheckpointContents& contents);

}  // namespace golf
