// What the trainer reads from weight names.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/trainable.h"  // MatchesPattern

namespace golf {

inline bool MatchesAny(std::span<const std::string> patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [name](const std::string& pattern) { return MatchesPattern(pattern, name); });
}

// The i of "blocks.<i>.", or -1.
inline int64_t BlockOf(std::string_view name) {
  constexpr std::string_view kPrefix = "blocks.";
  if (!name.starts_with(kPrefix)) return -1;
  int64_t block = 0;
  size_t i = kPrefix.size();
  for (; i < name.size() && name[i] >= '0' && name[i] <= '9' && block < 100'000; ++i) {
    block = 10 * block + (name[i] - '0');
  }
  return i > kPrefix.size() && i < name.size() && name[i] == '.' ? block : -1;
}

}  // namespace golf
