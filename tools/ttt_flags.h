// The --ttt flags of golf-run: a preset and what to change of it.
#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/ttt_options.h"

namespace golf {

struct TttFlags {
  bool on = false;
  std::string preset = "pr668";
  std::optional<TttOptions::Optimizer> optimizer;
  std::optional<TttOptions::Schedule> schedule;
  std::optional<double> lr, momentum, weight_decay, clip_norm;
  std::optional<size_t> epochs, chunk_tokens, batch_sequences, micro_batch;
  std::optional<uint32_t> freeze_blocks;
  std::vector<std::string> trainable, bf16_weights;
  std::optional<bool> fake_quant;
};

// --ttt and --ttt-*; any of them turns test-time training on.
void AddTttFlags(CLI::App& app, TttFlags& flags);

// Nothing if test-time training is off; else for a network of so many blocks. Ranges are checked when training is set up (CheckTttOptions).
Result<std::optional<TttOptions>> TttOptionsOf(const TttFlags& flags, uint32_t blocks);

}  // namespace golf
