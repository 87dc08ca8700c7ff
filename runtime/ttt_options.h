// Settings of score-first test-time training, and its learning-rate schedules.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/executor.h"
#include "runtime/trainable.h"

namespace golf {

struct TttOptions {
  enum class Optimizer { kSgd, kAdamW };
  // Factor on the learning rate of chunk c of n; constant within a chunk.
  //   kConstant      1
  //   kCosine        (1 + cos(pi c / (n-1))) / 2                                                    PR 598, 1004
  //   kWarmupCosine  w = max(n / 20, 1): (c+1) / w for c < w, then the cosine over the n - w others  PR 668, 1232
  enum class Schedule { kConstant, kCosine, kWarmupCosine };

  std::string preset = {};  // that the settings started from; for reports
  Optimizer optimizer = Optimizer::kSgd;
  Schedule schedule = Schedule::kCosine;
  double lr = 0.002;
  double momentum = 0.9;                          // SGD: no dampening, no Nesterov
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // AdamW
  double weight_decay = 0;                        // decoupled
  double clip_norm = 1.0;  // of the gradient of all trained weights together; 0: no clipping
  size_t epochs = 10;
  size_t chunk_tokens = 32768;  // targets scored, then trained on
  size_t batch_sequences = 32;  // whole windows per update
  size_t micro_batch = 0;       // windows per pass; 0: as many as 2048 tokens hold
  TrainableRules trainable = FreezeFirstBlocks(2);
  std::optional<FakeQuant> fake_quant;  // on the weights of training passes only (PR 598)
  // Patterns of weights that are kept in bfloat16, their moments too: rounded after each update (PR 1232).
  std::vector<std::string> bf16_weights;
  bool hidden_offset = false;  // the network has the weight of hidden_offset.h (SLOT)
  bool operator==(const TttOptions&) const = default;
};

double LrFactor(TttOptions::Schedule schedule, size_t chunk, size_t chunks);

// The published runs: "pr598", "pr668", "pr1004", "pr1232"; and "slot", PR 1236's offset with its optimizer, fitted to what
// was scored before. kUsage for other names.
Result<TttOptions> TttPreset(std::string_view name);
std::span<const std::string_view> TttPresets();

// "sgd", "adamw"; "constant", "cosine", "warmup-cosine".
std::string_view Name(TttOptions::Optimizer optimizer);
std::string_view Name(TttOptions::Schedule schedule);

// Ranges of all numbers; the message names the setting.
Status CheckTttOptions(const TttOptions& options, size_t window);

}  // namespace golf
