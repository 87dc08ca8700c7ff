// Flags that take a number, read by kernels/base/numbers.h. Use these instead of CLI11's own numeric options, which take
// 0100 for 64, -1 for 2^64 - 1 and 1e999 for infinity.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>

namespace golf {

// Both ends are allowed.
struct CountRange {
  uint64_t lowest = 0;
  uint64_t highest = std::numeric_limits<uint64_t>::max();
};

struct RealRange {
  double lowest = 0;
  double highest = std::numeric_limits<double>::infinity();
};
// As RealRange::lowest: zero itself is refused.
constexpr double kAboveZero = std::numeric_limits<double>::min();

// A flag NAME N. `set` is called with the number; one that is malformed or outside `range` is a usage error, which says what
// was expected. `show` gives the default for --help, where capture_default_str() asks for it.
CLI::Option* AddCountFlag(CLI::App& app, const std::string& name, const std::string& help,
                          CountRange range, std::function<void(uint64_t)> set,
                          std::function<std::string()> show = nullptr);
// The same for a number of bytes: units are allowed.
CLI::Option* AddBytesFlag(CLI::App& app, const std::string& name, const std::string& help,
                          CountRange range, std::function<void(uint64_t)> set,
                          std::function<std::string()> show = nullptr);
// The same for a finite number.
CLI::Option* AddRealFlag(CLI::App& app, const std::string& name, const std::string& help,
                         RealRange range, std::function<void(double)> set,
                         std::function<std::string()> show = nullptr);

namespace number_flags {

template <class T>
struct Plain {
  using type = T;
};
template <class T>
struct Plain<std::optional<T>> {
  using type = T;
};

// The range, cut to what T holds.
template <class T>
CountRange Within(CountRange range) {
  static_assert(std::is_integral_v<T>);
  constexpr auto kHighest = static_cast<uint64_t>(std::numeric_limits<T>::max());
  return {range.lowest, range.highest < kHighest ? range.highest : kHighest};
}

std::string Show(uint64_t value);
std::string Show(double value);
template <class T>
std::string Show(const std::optional<T>&) {
  return {};
}

template <class T>
std::function<std::string()> Shower(const T& value) {
  if constexpr (std::is_integral_v<T>) {
    return [&value] { return Show(static_cast<uint64_t>(value)); };
  } else {
    return [&value] { return Show(value); };
  }
}

}  // namespace number_flags

// The number goes to `value`: an integer type or a std::optional of one.
template <class T>
CLI::Option* AddCount(CLI::App& app, const std::string& name, T& value, const std::string& help,
                      CountRange range = {}) {
  using Number = typename number_flags::Plain<T>::type;
  return AddCountFlag(
      app, name, help, number_flags::Within<Number>(range),
      [&value](uint64_t n) { value = static_cast<Number>(n); }, number_flags::Shower(value));
}

template <class T>
CLI::Option* AddBytes(CLI::App& app, const std::string& name, T& value, const std::string& help,
                      CountRange range = {1}) {
  using Number = typename number_flags::Plain<T>::type;
  return AddBytesFlag(
      app, name, help, number_flags::Within<Number>(range),
      [&value](uint64_t n) { value = static_cast<Number>(n); }, number_flags::Shower(value));
}

// The number goes to `value`: a double or a std::optional of one.
template <class T>
CLI::Option* AddReal(CLI::App& app, const std::string& name, T& value, const std::string& help,
                     RealRange range = {}) {
  return AddRealFlag(
      app, name, help, range, [&value](double x) { value = x; }, number_flags::Shower(value));
}

}  // namespace golf
