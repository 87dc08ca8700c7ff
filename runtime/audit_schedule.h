// The records that the settings of an audit log's header call for. A second computation of windows, chunks, learning rates
// and updates, which shares no code with the scorer: verify_audit.h compares every record with it.
//
// Letters: N targets, T window, S stride, C targets per chunk.
//   windows   start at 0, S, 2S, ... The first scores [0, T). "once": the others score what follows, S targets each, fewer at
//             the end. "reference": each scores the last S targets that it covers, and those that reach behind the end
//             score the last S of the text again, as long as S targets are left behind their start. "reference-all":
//             likewise as long as one is left; then all that are left are scored.
//   records   of scores: the first window has one of its own; others share one with the windows before them as long as
//             their targets follow on and it holds fewer than 2048 targets.
//   chunks    a window belongs to the chunk of its first target. Behind the windows of a chunk, while there are more, its
//             whole windows' worth of targets is trained on: `epochs` times, `batch` windows per update.
#pragma once
#include <cstdint>
#include <optional>

namespace golf {

struct AuditSettings {
  enum class Rate { kConstant, kCosine, kWarmupCosine };
  enum class Tail { kOnce, kRepeat, kRepeatAll };  // "once", "reference", "reference-all"
  struct Training {
    uint64_t chunk = 0, epochs = 0, batch = 0;  // C; times; windows per update
    double lr = 0;
    Rate rate = Rate::kConstant;
  };
  uint64_t targets = 0, window = 0, stride = 0;  // N >= 1, T, S: 1 <= S <= T
  Tail tail = Tail::kOnce;                       // but for kOnce, N is a multiple of T
  std::optional<Training> training;              // C >= T
};

struct ExpectedRecord {
  enum class Kind { kScore, kTrain, kEnd };
  Kind kind = Kind::kEnd;
  uint64_t begin = 0, end = 0;               // targets
  uint64_t first_window = 0, windows = 0;    // kScore: which, counted from 0, and how many
  uint64_t first_start = 0, last_start = 0;  // kScore: first tokens of the first and last window
  uint64_t updates = 0;                      // kTrain
  double lr = 0;
};

class AuditSchedule {
 public:
  explicit AuditSchedule(const AuditSettings& settings);
  // In the order of the log; kEnd behind the last. Takes the same short time for any settings.
  ExpectedRecord Next();
  // Of test-time training that have windows.
  uint64_t chunks() const;
  // Targets below are scored. "reference" leaves out the last ones where S does not divide N.
  uint64_t reached() const;

 private:
  uint64_t FirstTarget(uint64_t window) const;
  uint64_t EndTarget(uint64_t window) const;
  uint64_t FirstWindowFrom(uint64_t target) const;
  double Rate(uint64_t chunk) const;
  ExpectedRecord Score(uint64_t last);
  ExpectedRecord Train();

  AuditSettings settings_;
  uint64_t windows_;      // all
  uint64_t consecutive_;  // those whose targets follow on from the window before
  uint64_t chunks_ = 0;
  uint64_t window_ = 0, chunk_ = 0;  // that come next
};

}  // namespace golf
