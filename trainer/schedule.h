// What changes from step to step, as pure functions of step and clock: learning-rate factor, Muon's momentum, late QAT.
#pragma once
#include <cstdint>

#include "trainer/settings.h"

namespace golf {

// Factor on every group's lr at `step` (0-based), `elapsed_ms` of training time after the start.
//   steps:      1 until iterations - warmdown_iters, then (iterations - step) / warmdown_iters
//   wall clock: warmdown = warmdown_iters * elapsed / max(step, 1); 1 while more than that is left of
//               max_wallclock_seconds, then remaining / warmdown
// times (step + 1) / warmup_iters during the warm-up.
double LearningRateFactor(const ScheduleSettings& schedule, uint64_t step, double elapsed_ms);

// Linear from momentum_warmup_start to momentum over momentum_warmup_steps.
double MuonMomentum(const MuonSettings& muon, uint64_t step);

// Whether late QAT is on in a step with this learning-rate factor; once on (`was_on`) it stays on.
bool LateQatOn(const LateQatSettings& late_qat, bool was_on, double lr_factor);

// Sharpness of soft rounding: from 1 at the threshold to kHardestRounding where the factor is 0.
inline constexpr double kHardestRounding = 16;
double SoftRoundSharpness(const LateQatSettings& late_qat, double lr_factor);

// Whether a snapshot follows a step with this factor, after which `steps` steps are done.
bool SwaSnapshotDue(const SwaSettings& swa, uint64_t steps, double lr_factor);

// No further step is taken: all iterations are done, or the wall clock has run out.
bool ScheduleFinished(const ScheduleSettings& schedule, uint64_t step, double elapsed_ms);

}  // namespace golf
