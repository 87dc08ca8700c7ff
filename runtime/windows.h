// Which windows score which targets.
//
// Letters: N targets, T window, S stride. Window starts are 0, S, 2S, ...; a window covers T targets, fewer at the end of
// the stream. The window at 0 scores all it covers, the others what their last S offsets reach: each target is then
// predicted from at least T - S tokens (but for the first ones), and S = T means windows side by side.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

// What happens where windows reach the end of the stream.
enum class Tail {
  kOnce,  // the first window that reaches the end scores what is left; every target is scored exactly once
  kRepeat,  // every further start with S targets or more scores the last S again (PR 598, 668; all test-time training)
  kRepeatAll,  // likewise every further start with one target or more (PR 1004, 1232 without test-time training)
};

// What golf-run calls them: "once", "reference", "reference-all"; nothing for other names.
std::optional<Tail> TailOf(std::string_view protocol);

struct WindowRule {
  size_t length = 0;  // T
  size_t stride = 0;  // S, 1..T
  Tail tail = Tail::kOnce;
};

struct Window {
  size_t start = 0;     // first token read, and first target covered
  uint32_t length = 0;  // targets covered, 1..T; shorter windows are padded with token 0 behind
  uint32_t first = 0;   // offset of the first target scored
  uint32_t count = 0;   // targets scored: offsets first .. first + count - 1

  size_t first_target() const { return start + first; }
  size_t end_target() const { return start + first + count; }
  bool operator==(const Window&) const = default;
};

// The rule with lengths that `targets` targets can fill: the same windows, and no more rows per pass than they need.
WindowRule FittedTo(const WindowRule& rule, size_t targets);

// The windows over a stream in stream order. Each is computed when it is asked for, so a list takes the same few bytes
// for any stream and stride.
class WindowList {
 public:
  size_t size() const { return size_; }
  Window operator[](size_t i) const;
  // Windows begin .. end - 1.
  std::vector<Window> Slice(size_t begin, size_t end) const;
  // The first `size` windows.
  WindowList First(size_t size) const;
  // The number of windows whose first scored target is `target` or one before it. They come first in the list.
  size_t CountUpTo(size_t target) const;

 private:
  friend Result<WindowList> MakeWindows(const WindowRule& rule, size_t targets);
  WindowList(const WindowRule& rule, size_t targets, size_t size)
      : rule_(rule), targets_(targets), size_(size) {}
  WindowRule rule_;
  size_t targets_, size_;
};

// kUsage unless 1 <= S <= T.
Result<WindowList> MakeWindows(const WindowRule& rule, size_t targets);

}  // namespace golf
