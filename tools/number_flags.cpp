#include "tools/number_flags.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/base/numbers.h"

namespace golf {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

std::string Describe(CountRange range) {
  if (range.highest == kNoLimit) return fmt::format("of at least {}", range.lowest);
  return fmt::format("from {} to {}", range.lowest, range.highest);
}

std::string Describe(RealRange range) {
  if (range.highest < std::numeric_limits<double>::infinity())
    return fmt::format("from {:g} to {:g}", range.lowest, range.highest);
  if (range.lowest == kAboveZero) return "above 0";
  return fmt::format("of at least {:g}", range.lowest);
}

// An option whose text is read by `parse`; a text without a number in range is a usage error.
template <class Number, class Range>
CLI::Option* Add(CLI::App& app, const std::string& name, const std::string& help, Range range,
                 std::optional<Number> (*parse)(std::string_view), const char* expected,
                 std::function<void(Number)> set, std::function<std::string()> show) {
  const auto read = [name, range, parse, expected, set = std::move(set)](const std::string& text) {
    const std::optional<Number> number = parse(text);
    if (!number || *number < range.lowest || *number > range.highest) {
      throw CLI::ValidationError(name, fmt::format("expected {} {}, found '{}'", expected,
                                                   Describe(range), Shortened(text)));
    }
    set(*number);
  };
  CLI::Option* option = app.add_option_function<std::string>(name, read, help);
  if (show) option->default_function(std::move(show));
  return option;
}

}  // namespace

CLI::Option* AddCountFlag(CLI::App& app, const std::string& name, const std::string& help,
                          CountRange range, std::function<void(uint64_t)> set,
                          std::function<std::string()> show) {
  return Add(app, name, help, range, ParseCount, "a whole number", std::move(set), std::move(show));
}

CLI::Option* AddBytesFlag(CLI::App& app, const std::string& name, const std::string& help,
                          CountRange range, std::function<void(uint64_t)> set,
                          std::function<std::string()> show) {
  return Add(app, name, help, range, ParseBytes,
             "bytes (such as 16000000, 16_000_000, 16e6, 16MB or 16MiB)", std::move(set),
             std::move(show));
}

CLI::Option* AddRealFlag(CLI::App& app, const std::string& name, const std::string& help,
                         RealRange range, std::function<void(double)> set,
                         std::function<std::string()> show) {
  return Add(app, name, help, range, ParseReal, "a number", std::move(set), std::move(show));
}

namespace number_flags {

std::string Show(uint64_t value) { return std::to_string(value); }
std::string Show(double value) { return fmt::format("{:g}", value); }

}  // namespace number_flags

}  // namespace golf
