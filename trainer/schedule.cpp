#include "trainer/schedule.h"

#include <algorithm>

namespace golf {
namespace {

double StepWarmdown(const ScheduleSettings& s, uint64_t step) {
  const auto n = static_cast<double>(s.iterations), w = static_cast<double>(s.warmdown_iters);
  const auto t = static_cast<double>(step);
  if (s.warmdown_iters == 0 || t < n - w) return 1;
  return std::max((n - t) / w, 0.0);
}

double WallClockWarmdown(const ScheduleSettings& s, uint64_t step, double elapsed_ms) {
  const double step_ms = elapsed_ms / static_cast<double>(std::max<uint64_t>(step, 1));
  const double warmdown_ms = static_cast<double>(s.warmdown_iters) * step_ms;
  const double remaining_ms = std::max(1000 * s.max_wallclock_seconds - elapsed_ms, 0.0);
  return remaining_ms <= warmdown_ms ? remaining_ms / std::max(warmdown_ms, 1e-9) : 1;
}

}  // namespace

double LearningRateFactor(const ScheduleSettings& s, uint64_t step, double elapsed_ms) {
  const double warmup = step < s.warmup_iters
                            ? static_cast<double>(step + 1) / static_cast<double>(s.warmup_iters)
                            : 1;
  return warmup * (s.max_wallclock_seconds > 0 ? WallClockWarmdown(s, step, elapsed_ms)
                                               : StepWarmdown(s, step));
}

double MuonMomentum(const MuonSettings& m, uint64_t step) {
  if (step >= m.momentum_warmup_steps) return m.momentum;
  const double share = static_cast<double>(step) / static_cast<double>(m.momentum_warmup_steps);
  return (1 - share) * m.momentum_warmup_start + share * m.momentum;
}

bool LateQatOn(const LateQatSettings& q, bool was_on, double lr_factor) {
  return was_on || (q.enabled && lr_factor < q.threshold);
}

double SoftRoundSharpness(const LateQatSettings& q, double lr_factor) {
  return 1 + (kHardestRounding - 1) * std::max(0.0, 1 - lr_factor / std::max(q.threshold, 1e-9));
}

bool SwaSnapshotDue(const SwaSettings& s, uint64_t steps, double lr_factor) {
  return s.every > 0 && lr_factor < s.below && steps % s.every == 0;
}

bool ScheduleFinished(const ScheduleSettings& s, uint64_t step, double elapsed_ms) {
  return step >= s.iterations ||
         (s.max_wallclock_seconds > 0 && elapsed_ms >= 1000 * s.max_wallclock_seconds);
}

}  // namespace golf
