#include "runtime/windows.h"

#include <fmt/format.h>

#include <algorithm>

namespace golf {

Result<std::vector<Window>> MakeWindows(const WindowRule& rule, size_t targets) {
  const size_t length = rule.length, stride = rule.stride;
  if (stride < 1 || stride > length) {
    return Status(Code::kUsage, fmt::format("stride {} is not between 1 and the window's {} tokens",
                                            stride, length));
  }
  // The shortest window that is still run, and for kOnce: how far a start must reach to find something unscored.
  const size_t shortest = rule.tail == Tail::kRepeat      ? stride
                          : rule.tail == Tail::kRepeatAll ? 1
                                                          : length - stride + 1;
  std::vector<Window> windows;
  for (size_t start = 0; start < targets; start += stride) {
    const size_t covered = std::min(length, targets - start);
    if (start > 0 && covered < shortest) break;  // later windows cover even less
    size_t first = 0;
    if (start > 0) {
      first = rule.tail == Tail::kOnce ? length - stride : covered - std::min(covered, stride);
    }
    windows.push_back({start, static_cast<uint32_t>(covered), static_cast<uint32_t>(first),
                       static_cast<uint32_t>(covered - first)});
  }
  return windows;
}

}  // namespace golf
