// Patterns for weight names: '*' stands for any characters, none and dots included; the rest is literal.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace golf {

inline bool MatchesPattern(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0;
  size_t star = std::string_view::npos,
         resume = 0;  // last '*' seen and the name position it was tried from
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

inline bool MatchesAny(std::span<const std::string> patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [name](const std::string& pattern) { return MatchesPattern(pattern, name); });
}

// The i of "blocks.<i>.…", or -1.
inline int64_t BlockOf(std::string_view name) {
  constexpr std::string_view kPrefix = "blocks.";
  if (!name.starts_with(kPrefix)) return -1;
  int64_t block = 0;
  size_t digits = 0;
  for (name.remove_prefix(kPrefix.size()); digits < name.size() && digits < 6; ++digits) {
    if (name[digits] < '0' || name[digits] > '9') break;
    block = 10 * block + (name[digits] - '0');
  }
  return digits > 0 ? block : -1;
}

}  // namespace golf
