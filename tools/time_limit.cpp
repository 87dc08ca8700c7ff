#include "tools/time_limit.h"

#include <fmt/format.h>

#include <map>

#include "tools/cli.h"
#include "tools/number_flags.h"

namespace golf {

CLI::Option* AddTimeLimit(CLI::App& app, const char* flag, std::optional<double>& limit,
                          const std::string& help) {
  return AddReal(app, flag, limit, help, {.lowest = kAboveZero})->type_name("SECONDS");
}

void AddOverTimeFlag(CLI::App& app, OverTime& over_time) {
  const std::map<std::string, OverTime> names = {{"fail", OverTime::kFail},
                                                 {"warn", OverTime::kWarn}};
  app.add_option("--over-time", over_time,
                 "What exceeding a limit of seconds means: fail (default), exit code 5, or warn, a "
                 "line on stderr")
      ->transform(OneOf(names))
      ->type_name("NAME");
}

Status CheckSeconds(std::string_view what, double seconds, std::string_view flag,
                    std::optional<double> limit, OverTime over_time) {
  if (!limit || seconds <= *limit) return {};
  const std::string took =
      seconds < 1e9 ? fmt::format("{:.1f} s", seconds) : fmt::format("{:g} s", seconds);
  std::string message = fmt::format("{} took {}, {} is {:g}", what, took, flag, *limit);
  if (over_time == OverTime::kFail) return {Code::kOverBudget, std::move(message)};
  Warn(message);
  return {};
}

}  // namespace golf
