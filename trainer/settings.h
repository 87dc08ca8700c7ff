// How a network is trained, as plain data: a recipe (trainer/recipe.h) or a test fills it, the trainer follows it.
// Names and meanings are those of the reference scripts where they have one.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/executor.h"  // FakeQuant

namespace golf {

// What one optimizer step consumes. A step takes `slices` spans of tokens / slices + 1 stream tokens each: inputs are
// all but the last token of a span, targets all but the first. The next span starts after the last token.
struct BatchSettings {
  uint64_t tokens = 786'432;  // targets per step, a multiple of slices * network window
  uint32_t slices = 8;
  // Windows per forward/backward pass: memory and rounding, not data; divides a slice's windows.
  uint32_t micro_windows = 4;
};

// Learning-rate factor, by steps or (max_wallclock_seconds > 0) by the training clock.
struct ScheduleSettings {
  uint64_t iterations = 20'000;
  uint64_t warmup_iters = 0;         // factor rises linearly to 1
  uint64_t warmdown_iters = 3'500;   // factor falls linearly, last step 1 / warmdown_iters
  double max_wallclock_seconds = 0;  // > 0: training stops then, and the warmdown ends then
};

struct AdamWSettings {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
};

struct MuonSettings {
  double momentum = 0.99;               // reached after momentum_warmup_steps
  double momentum_warmup_start = 0.92;  // at step 0
  uint64_t momentum_warmup_steps = 1'500;
  uint32_t backend_steps = 5;  // Newton-Schulz iterations
};

enum class UpdateRule {
  kNone,  // frozen: no update, no gradient
  kAdamW,
  kMuon,  // matrices only
};

// A weight belongs to the first group with a pattern that matches its name ('*': any characters, dots included).
struct OptimizerGroup {
  std::string name;
  UpdateRule rule = UpdateRule::kNone;
  double lr = 0;
  double weight_decay = 0;     // decoupled: p <- p (1 - lr * weight_decay), with the scheduled lr
  double decoder_lr_mult = 1;  // on lr, for the weights of decoder blocks (the second half)
  bool bf16 = false;  // AdamW only: weights and moments are rounded to bfloat16 after each update
  std::vector<std::string> weights;
};

// Fake quantisation of linear weights late in training.
struct LateQatSettings {
  bool enabled = false;
  // On from the first step whose learning-rate factor is below; it stays on.
  double threshold = 0.15;
  FakeQuant levels;
  bool soft = false;  // soft rounding that grows sharper as the factor falls (SoftRoundSharpness)
};

// A second average beside the EMA: the mean of snapshots taken late in training.
struct SwaSettings {
  enum class Source { kRaw, kEma };
  uint64_t every = 0;  // steps between snapshots; 0: no such average
  double below = 0.2;  // taken after steps whose learning-rate factor is below
  Source source = Source::kRaw;
};

// Quirks of the reference runs that a faithful replay needs and nobody else wants.
struct ReferenceSettings {
  // PR 598: late QAT switched a flag that the compiled training graph never looked at again.
  bool dead_late_qat = false;
  // PR 598, 668: weights (patterns) that no optimizer owned. They are not updated, their gradient is never cleared:
  // it is added to and clipped from step to step, and so weighs in the norm that clips all others.
  std::vector<std::string> stale_gradients;
};

struct TrainSettings {
  BatchSettings batch;
  ScheduleSettings schedule;
  AdamWSettings adamw;
  MuonSettings muon;
  std::vector<OptimizerGroup> groups;
  // > 0: trains on the focal loss (ExecutorOptions) instead of the mean NLL.
  double focal_gamma = 0;
  double grad_clip_norm = 0.3;  // global 2-norm; 0: off
  double ema_decay = 0.997;     // of the weights, after each step; 0: no average is kept
  SwaSettings swa;
  LateQatSettings late_qat;
  ReferenceSettings reference;
  uint32_t first_decoder_block = 0;  // for decoder_lr_mult
};

// What training relies on: ranges and divisibility, for windows of `window` tokens. The message names the recipe's key.
Status CheckTrainSettings(const TrainSettings& settings, uint32_t window);

}  // namespace golf
