#include "runtime/audit_schedule.h"

#include <algorithm>
#include <cmath>

namespace golf {
namespace {

constexpr uint64_t kTargetsPerRecord = 2048;
constexpr double kPi = 3.141592653589793238;

uint64_t RoundedUp(uint64_t a, uint64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

}  // namespace

AuditSchedule::AuditSchedule(const AuditSettings& settings) : settings_(settings) {
  const auto& [targets, window, stride, tail, training] = settings_;
  const uint64_t behind_first = targets - std::min(targets, window);
  if (tail == AuditSettings::Tail::kOnce) {
    windows_ = 1 + RoundedUp(behind_first, stride);
    consecutive_ = windows_;
  } else {
    const bool all = tail == AuditSettings::Tail::kRepeatAll;
    windows_ = all ? RoundedUp(targets, stride) : targets / stride;
    consecutive_ = 1 + behind_first / stride;
  }
  if (training) chunks_ = RoundedUp(targets, training->chunk);
}

uint64_t AuditSchedule::FirstTarget(uint64_t window) const {
  if (window == 0) return 0;
  if (window >= consecutive_)
    return std::max(settings_.targets - settings_.stride, window * settings_.stride);
  return settings_.window + (window - 1) * settings_.stride;
}

uint64_t AuditSchedule::EndTarget(uint64_t window) const {
  if (window >= consecutive_) return settings_.targets;
  return std::min(settings_.window + window * settings_.stride, settings_.targets);
}

// The first window whose first target is `target` or one behind it; windows_ if there is none.
uint64_t AuditSchedule::FirstWindowFrom(uint64_t target) const {
  uint64_t low = 0, high = windows_;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (FirstTarget(middle) < target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

uint64_t AuditSchedule::chunks() const {
  return FirstTarget(windows_ - 1) / settings_.training->chunk + 1;
}

uint64_t AuditSchedule::reached() const { return EndTarget(windows_ - 1); }

double AuditSchedule::Rate(uint64_t chunk) const {
  const AuditSettings::Training& training = *settings_.training;
  if (training.rate == AuditSettings::Rate::kConstant) return training.lr;
  uint64_t rising = 0;
  if (training.rate == AuditSettings::Rate::kWarmupCosine) {
    rising = chunks_ < 40 ? 1 : chunks_ / 20;
    if (chunk < rising)
      return training.lr * (static_cast<double>(chunk + 1) / static_cast<double>(rising));
  }
  const uint64_t falling = chunks_ - rising;  // chunks, of which the last has a rate of 0
  if (falling < 2) return training.lr;
  const double angle = kPi * static_cast<double>(chunk - rising) / static_cast<double>(falling - 1);
  return training.lr * ((1 + std::cos(angle)) / 2);
}

ExpectedRecord AuditSchedule::Next() {
  if (window_ == windows_) return {};
  if (!settings_.training) return Score(windows_);
  const uint64_t behind_chunk = (chunk_ + 1) * settings_.training->chunk;
  const uint64_t last = FirstWindowFrom(behind_chunk);
  return window_ < last ? Score(last) : Train();
}

ExpectedRecord AuditSchedule::Score(uint64_t last) {
  uint64_t count = 1;
  if (window_ > 0 && window_ < consecutive_) {
    const uint64_t most = RoundedUp(kTargetsPerRecord, settings_.stride);
    count = std::min({most, last - window_, consecutive_ - window_});
  }
  ExpectedRecord record{ExpectedRecord::Kind::kScore};
  record.begin = FirstTarget(window_);
  record.end = EndTarget(window_ + count - 1);
  record.first_window = window_;
  record.windows = count;
  record.first_start = window_ * settings_.stride;
  record.last_start = (window_ + count - 1) * settings_.stride;
  window_ += count;
  return record;
}

ExpectedRecord AuditSchedule::Train() {
  const AuditSettings::Training& training = *settings_.training;
  const uint64_t begin = chunk_ * training.chunk;
  const uint64_t windows = std::min(training.chunk, settings_.targets - begin) / settings_.window;
  ExpectedRecord record{ExpectedRecord::Kind::kTrain};
  record.begin = begin;
  record.end = begin + windows * settings_.window;
  record.updates = training.epochs * RoundedUp(windows, training.batch);
  record.lr = Rate(chunk_);
  ++chunk_;
  return record;
}

}  // namespace golf
