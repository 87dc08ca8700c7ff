#include "kernels/base/numbers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace golf {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes the digits from the front of `text`, without the '_' between them.
std::string TakeDigits(std::string_view& text) {
  std::string digits;
  while (!text.empty()) {
    const bool separator = text[0] == '_' && !digits.empty() && text.size() > 1 && IsDigit(text[1]);
    if (!IsDigit(text[0]) && !separator) break;
    if (!separator) digits += text[0];
    text.remove_prefix(1);
  }
  return digits;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

struct Unit {
  std::string_view name;  // in lower case
  uint64_t bytes;
};
constexpr std::array<Unit, 7> kUnits = {{{"b", 1},
                                         {"kb", 1'000},
                                         {"mb", 1'000'000},
                                         {"gb", 1'000'000'000},
                                         {"kib", uint64_t{1} << 10},
                                         {"mib", uint64_t{1} << 20},
                                         {"gib", uint64_t{1} << 30}}};

// The factor of a unit. Nothing for an unknown one.
std::optional<uint64_t> UnitBytes(std::string_view text) {
  if (text.starts_with(' ')) text.remove_prefix(1);
  std::string name;
  for (const char c : text) name += Lower(c);
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return unit.bytes;
  }
  return std::nullopt;
}

// digits * 10^exponent * factor, if that is a whole number below 2^64.
std::optional<uint64_t> Scaled(std::string_view digits, int exponent, uint64_t factor) {
  while (digits.size() > 1 && digits.back() == '0') {
    digits.remove_suffix(1);
    ++exponent;
  }
  uint64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
    return std::nullopt;
  if (value == 0) return 0;
  for (; exponent < 0; ++exponent) {
    // A ten is a two and a five; the factor or the value must have each.
    for (const uint64_t prime : {2, 5}) {
      uint64_t& divided = factor % prime == 0 ? factor : value;
      if (divided % prime != 0) return std::nullopt;
      divided /= prime;
    }
  }
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(value, uint64_t{10}, &value)) return std::nullopt;
  }
  if (__builtin_mul_overflow(value, factor, &value)) return std::nullopt;
  return value;
}

std::optional<uint64_t> ParseWhole(std::string_view text, bool with_unit) {
  std::string digits = TakeDigits(text);
  if (digits.empty()) return std::nullopt;
  int exponent = 0;
  if (text.size() > 1 && text[0] == '.' && IsDigit(text[1])) {
    text.remove_prefix(1);
    const std::string fraction = TakeDigits(text);
    if (fraction.size() > 1000) return std::nullopt;
    exponent -= static_cast<int>(fraction.size());
    digits += fraction;
  }
  if (text.size() > 1 && Lower(text[0]) == 'e' && IsDigit(text[1])) {
    text.remove_prefix(1);
    const std::string power = TakeDigits(text);
    int given = 0;
    if (std::from_chars(power.data(), power.data() + power.size(), given).ec != std::errc() ||
        given > 1000) {
      return std::nullopt;
    }
    exponent += given;
  }
  uint64_t factor = 1;
  if (with_unit && !text.empty()) {
    const std::optional<uint64_t> unit = UnitBytes(text);
    if (!unit) return std::nullopt;
    factor = *unit;
    text = {};
  }
  if (!text.empty()) return std::nullopt;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return Scaled(digits, exponent, factor);
}

}  // namespace

std::optional<uint64_t> ParseCount(std::string_view text) { return ParseWhole(text, false); }

std::optional<uint64_t> ParseBytes(std::string_view text) { return ParseWhole(text, true); }

std::optional<double> ParseReal(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool separator = text[i] == '_' && i > 0 && IsDigit(text[i - 1]) && i + 1 < text.size() &&
                           IsDigit(text[i + 1]);
    if (!separator) plain += text[i];
  }
  double value = 0;
  const char* end = plain.data() + plain.size();
  const auto [stopped, error] = std::from_chars(plain.data(), end, value);
  if (error != std::errc() || stopped != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string Shortened(std::string_view text) {
  constexpr size_t kShown = 40;
  if (text.size() <= kShown) return std::string(text);
  return std::string(text.substr(0, kShown)) + "...";
}

}  // namespace golf
