#include "runtime/windows.h"

#include <fmt/format.h>

#include <algorithm>

namespace golf {

std::optional<Tail> TailOf(std::string_view protocol) {
  if (protocol == "once") return Tail::kOnce;
  if (protocol == "reference") return Tail::kRepeat;
  if (protocol == "reference-all") return Tail::kRepeatAll;
  return std::nullopt;
}

WindowRule FittedTo(const WindowRule& rule, size_t targets) {
  const size_t length = std::min(rule.length, targets);
  return {length, std::min(rule.stride, length), rule.tail};
}

Result<WindowList> MakeWindows(const WindowRule& rule, size_t targets) {
  const size_t length = rule.length, stride = rule.stride;
  if (stride < 1 || stride > length) {
    return Status(Code::kUsage, fmt::format("stride {} is not between 1 and the window's {} tokens",
                                            stride, length));
  }
  // The shortest window that is still run, and for kOnce: how far a start must reach to find something unscored.
  const size_t shortest = rule.tail == Tail::kRepeat      ? stride
                          : rule.tail == Tail::kRepeatAll ? 1
                                                          : length - stride + 1;
  size_t size = targets > 0 ? 1 : 0;
  if (targets > shortest) size += (targets - shortest) / stride;
  return WindowList(rule, targets, size);
}

Window WindowList::operator[](size_t i) const {
  const size_t start = i * rule_.stride;
  const size_t covered = std::min(rule_.length, targets_ - start);
  size_t first = 0;
  if (start > 0) {
    first = rule_.tail == Tail::kOnce ? rule_.length - rule_.stride
                                      : covered - std::min(covered, rule_.stride);
  }
  return {start, static_cast<uint32_t>(covered), static_cast<uint32_t>(first),
          static_cast<uint32_t>(covered - first)};
}

std::vector<Window> WindowList::Slice(size_t begin, size_t end) const {
  std::vector<Window> windows;
  windows.reserve(end - begin);
  for (size_t i = begin; i < end; ++i) windows.push_back((*this)[i]);
  return windows;
}

WindowList WindowList::First(size_t size) const {
  return WindowList(rule_, targets_, std::min(size, size_));
}

size_t WindowList::CountUpTo(size_t target) const {
  size_t low = 0, high = size_;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if ((*this)[middle].first_target() <= target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace golf
