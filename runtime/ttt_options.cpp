#include "runtime/ttt_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/hidden_offset.h"
#include "runtime/micro_batch.h"

namespace golf {

double LrFactor(TttOptions::Schedule schedule, size_t chunk, size_t chunks) {
  const size_t warmup =
      schedule == TttOptions::Schedule::kWarmupCosine ? std::max<size_t>(chunks / 20, 1) : 0;
  if (schedule == TttOptions::Schedule::kConstant) return 1;
  if (chunk < warmup) return static_cast<double>(chunk + 1) / static_cast<double>(warmup);
  const size_t last = chunks > warmup + 1 ? chunks - 1 - warmup : 1;
  return 0.5 * (1 + std::cos(std::numbers::pi * static_cast<double>(chunk - warmup) /
                             static_cast<double>(last)));
}

std::span<const std::string_view> TttPresets() {
  static constexpr std::string_view kNames[] = {"pr598", "pr668", "pr1004", "pr1232", "slot"};
  return kNames;
}

Result<TttOptions> TttPreset(std::string_view name) {
  TttOptions options;  // the defaults are what most runs share
  options.preset = name;
  if (name == "pr598") {
    options.schedule = TttOptions::Schedule::kCosine;
    options.fake_quant = FakeQuant{};  // its late QAT stayed switched on for the training passes
  } else if (name == "pr668") {
    options.schedule = TttOptions::Schedule::kWarmupCosine;
  } else if (name == "pr1004") {
    options.optimizer = TttOptions::Optimizer::kAdamW;
    options.schedule = TttOptions::Schedule::kCosine;
    options.lr = 1e-4;
    options.epochs = 3;
    options.chunk_tokens = 131072;
    options.batch_sequences = 64;  // its eight processes took 8 windows each and averaged
    options.trainable = ScalesAndLastBlocks(2);
  } else if (name == "pr1232") {
    options.schedule = TttOptions::Schedule::kWarmupCosine;
    options.bf16_weights = {"tok_emb.weight", "bigram.embed.weight", "flow_refiner.*.weight"};
  } else if (name == "slot") {
    options.hidden_offset = true;
    options.trainable = {"-*", fmt::format("+{}", kHiddenOffset)};
    options.optimizer = TttOptions::Optimizer::kAdamW;
    options.schedule = TttOptions::Schedule::kConstant;
    options.lr = 0.005;
    options.eps = 1e-5;
    options.weight_decay = 1e-8;
    options.clip_norm = 0;
    options.epochs = 8;
    options.chunk_tokens = 2048;  // the targets of its 32 windows at stride 64
  } else {
    return Status(Code::kUsage,
                  fmt::format("no preset '{}'; there are {}", name, fmt::join(TttPresets(), ", ")));
  }
  return options;
}

std::string_view Name(TttOptions::Optimizer optimizer) {
  return optimizer == TttOptions::Optimizer::kSgd ? "sgd" : "adamw";
}

std::string_view Name(TttOptions::Schedule schedule) {
  switch (schedule) {
    case TttOptions::Schedule::kConstant:
      return "constant";
    case TttOptions::Schedule::kCosine:
      return "cosine";
    case TttOptions::Schedule::kWarmupCosine:
      break;
  }
  return "warmup-cosine";
}

size_t MicroBatch(const TttOptions& options, size_t window) {
  // With more tokens per pass, activations leave the caches before the backward pass reads them.
  constexpr size_t kPassTokens = 2048;
  const size_t wanted =
      options.micro_batch != 0 ? options.micro_batch : std::max<size_t>(kPassTokens / window, 1);
  return std::min({wanted, options.batch_sequences, options.chunk_tokens / window});
}

Status CheckTttOptions(const TttOptions& options, size_t window) {
  const auto wrong = [](std::string_view name, double value, std::string_view expected) {
    return Status(Code::kUsage,
                  fmt::format("test-time training: {} is {}, expected {}", name, value, expected));
  };
  const auto finite_from = [](double x, double lowest) { return std::isfinite(x) && x >= lowest; };
  if (!finite_from(options.lr, 0)) return wrong("learning rate", options.lr, "0 or more");
  if (!finite_from(options.momentum, 0) || options.momentum >= 1)
    return wrong("momentum", options.momentum, "[0, 1)");
  if (!finite_from(options.beta1, 0) || options.beta1 >= 1)
    return wrong("beta1", options.beta1, "[0, 1)");
  if (!finite_from(options.beta2, 0) || options.beta2 >= 1)
    return wrong("beta2", options.beta2, "[0, 1)");
  if (!finite_from(options.eps, 0)) return wrong("eps", options.eps, "0 or more");
  if (!finite_from(options.weight_decay, 0))
    return wrong("weight decay", options.weight_decay, "0 or more");
  if (!finite_from(options.clip_norm, 0))
    return wrong("clip norm", options.clip_norm, "0 (off) or more");
  if (options.epochs < 1) return wrong("epochs", 0, "1 or more");
  if (options.batch_sequences < 1) return wrong("batch sequences", 0, "1 or more");
  if (options.chunk_tokens < window) {
    return wrong("chunk tokens", static_cast<double>(options.chunk_tokens),
                 fmt::format("the window, {}, or more", window));
  }
  return {};
}

}  // namespace golf
