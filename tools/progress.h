// Progress of long steps.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace golf {

struct OutputFlags {
  bool json = false;   // results as JSON on stdout, no progress
  bool quiet = false;  // no progress
};

// How far a long step is, with rate and time left, on stderr. On a terminal one line that is
// rewritten, cut to the terminal's width; otherwise a line at most every ten seconds. Says nothing
// with --json or --quiet.
class Progress {
 public:
  // `total` in `unit`s ("tokens", "bytes"); 0 if unknown. `first` of them were done before, in a run
  // that this one resumes.
  Progress(std::string label, uint64_t total, std::string unit, const OutputFlags& output,
           uint64_t first = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` units in all; `note` is appended (a loss, memory). Cheap: prints only if a line is due.
  void Update(uint64_t done, std::string_view note = {});
  // Prints the final state. The destructor does so too, if something was printed before.
  void Finish();

 private:
  using Clock = std::chrono::steady_clock;
  void Print(std::string_view note);

  std::string label_, unit_;
  uint64_t total_, first_, done_;
  bool silent_, terminal_;
  bool printed_ = false, finished_ = false;
  Clock::time_point start_, next_;
};

}  // namespace golf
