// What the trainer reads from weight names.
#pragma once
#include <cstdint>
#include <string_view>

namespace golf {

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
