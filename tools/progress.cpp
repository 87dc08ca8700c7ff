#include "tools/progress.h"

#include <unistd.h>

#include "tools/print.h"

namespace golf {
namespace {

// Long enough that a log file stays readable.
constexpr auto kLogInterval = std::chrono::milliseconds(10'000);
constexpr auto kTerminalInterval = std::chrono::milliseconds(200);

}  // namespace

Progress::Progress(std::string label, uint64_t total, std::string unit, const OutputFlags& output,
                   uint64_t first)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      first_(first),
      done_(first),
      silent_(output.json || output.quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      next_(start_ + (terminal_ ? kTerminalInterval : kLogInterval)) {}

Progress::~Progress() {
  if (printed_) Finish();
}

void Progress::Update(uint64_t done, std::string_view note) {
  done_ = done;
  if (silent_ || Clock::now() < next_) return;
  Print(note);
  next_ = Clock::now() + (terminal_ ? kTerminalInterval : kLogInterval);
}

void Progress::Finish() {
  if (silent_ || finished_) return;
  Print({});
  if (terminal_) EndLine();
  finished_ = true;
}

void Progress::Print(std::string_view note) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_ - first_) / seconds : 0;
  std::string line = fmt::format("{}: {}", label_, Grouped(done_));
  if (total_ > 0) {
    const double percent = 100 * static_cast<double>(done_) / static_cast<double>(total_);
    line += fmt::format(" of {} {} ({:.1f} %)", Grouped(total_), unit_, percent);
  } else {
    line += " " + unit_;
  }
  line += fmt::format(", {}/s", Rate(rate));
  if (total_ > done_ && rate > 0) {
    line += ", " + Duration(static_cast<double>(total_ - done_) / rate) + " left";
  } else {
    line += ", " + Duration(seconds);
  }
  if (!note.empty()) line += fmt::format(", {}", note);
  terminal_ ? RewriteLine(line) : Say(line);
  printed_ = true;
}

}  // namespace golf
