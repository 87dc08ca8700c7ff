// Blocks by the names of their weights.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace golf {

// The n of "blocks.<n>.<rest>"; nothing for other names.
inline std::optional<uint32_t> BlockOf(std::string_view name) {
  constexpr std::string_view kPrefix = "blocks.";
  constexpr size_t kMostDigits = 6;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const size_t digits = name.find_first_not_of("0123456789");
  if (digits == 0 || digits > kMostDigits || name[digits] != '.') return std::nullopt;
  uint32_t block = 0;
  for (const char digit : name.substr(0, digits))
    block = 10 * block + static_cast<uint32_t>(digit - '0');
  return block;
}

}  // namespace golf
