#include "trainer/settings.h"

#include <fmt/format.h>

#include <cmath>

namespace golf {
namespace {

Status Bad(const std::string& what) { return {Code::kUsage, what}; }

Status CheckBatch(const BatchSettings& b, uint32_t window) {
  if (b.slices == 0 || b.micro_windows == 0)
    return Bad("batch.slices, batch.micro_windows: must not be 0");
  const uint64_t unit = uint64_t{b.slices} * window;
  if (b.tokens == 0 || b.tokens % unit != 0) {
    return Bad(
        fmt::format("batch.tokens: expected a multiple of slices x network.window = {}, found {}",
                    unit, b.tokens));
  }
  const uint64_t windows = b.tokens / unit;
  if (windows % b.micro_windows != 0) {
    return Bad(fmt::format(
        "batch.micro_windows: expected a divisor of the {} windows of a slice, found {}", windows,
        b.micro_windows));
  }
  return {};
}

Status CheckGroup(const OptimizerGroup& g) {
  if (g.name.empty()) return Bad("group.name: must not be empty");
  const auto bad = [&g](const std::string& what) {
    return Bad(fmt::format("group.{}.{}", g.name, what));
  };
  if (g.weights.empty()) return bad("weights: expected at least one pattern");
  if (!std::isfinite(g.lr) || g.lr < 0)
    return bad(fmt::format("lr: expected >= 0, found {}", g.lr));
  if (!std::isfinite(g.weight_decay) || g.weight_decay < 0) {
    return bad(fmt::format("weight_decay: expected >= 0, found {}", g.weight_decay));
  }
  if (!std::isfinite(g.decoder_lr_mult) || g.decoder_lr_mult < 0) {
    return bad(fmt::format("decoder_lr_mult: expected >= 0, found {}", g.decoder_lr_mult));
  }
  if (g.bf16 && g.rule != UpdateRule::kAdamW) return bad("bf16: only adamw can keep bfloat16");
  return {};
}

}  // namespace

Status CheckTrainSettings(const TrainSettings& s, uint32_t window) {
  const auto share = [](double x) { return x >= 0 && x < 1; };
  GOLF_TRY(CheckBatch(s.batch, window));
  if (s.schedule.iterations == 0) return Bad("schedule.iterations: must not be 0");
  if (!(s.schedule.max_wallclock_seconds >= 0))
    return Bad("schedule.max_wallclock_seconds: expected >= 0");
  if (!share(s.adamw.beta1) || !share(s.adamw.beta2)) {
    return Bad("adamw.beta1, adamw.beta2: expected 0 <= beta < 1");
  }
  if (!(s.adamw.eps > 0)) return Bad(fmt::format("adamw.eps: expected > 0, found {}", s.adamw.eps));
  if (!share(s.muon.momentum) || !share(s.muon.momentum_warmup_start)) {
    return Bad("muon.momentum, muon.momentum_warmup_start: expected 0 <= momentum < 1");
  }
  if (s.muon.backend_steps > 100) return Bad("muon.backend_steps: expected at most 100");
  if (!(s.focal_gamma >= 0 && s.focal_gamma <= 100))
    return Bad("train.focal_gamma: expected 0 (off) to 100");
  if (!(s.grad_clip_norm >= 0)) return Bad("train.grad_clip_norm: expected >= 0 (0: off)");
  if (!share(s.ema_decay)) return Bad("train.ema_decay: expected 0 <= decay < 1 (0: no average)");
  if (!(s.swa.below >= 0)) return Bad("swa.below: expected >= 0");
  if (s.swa.source == SwaSettings::Source::kEma && s.swa.every > 0 && s.ema_decay == 0) {
    return Bad("swa.source: 'ema' needs train.ema_decay > 0");
  }
  const FakeQuant& q = s.late_qat.levels;
  if (!(q.divisor > 0) || !(q.lowest < q.highest)) {
    return Bad("late_qat: expected divisor > 0 and lowest < highest");
  }
  if (!(q.quantile > 0 && q.quantile <= 1))
    return Bad("late_qat.quantile: expected 0 < quantile <= 1");
  if (s.groups.empty()) return Bad("group: expected at least one optimizer group");
  for (const OptimizerGroup& group : s.groups) GOLF_TRY(CheckGroup(group));
  return {};
}

}  // namespace golf
