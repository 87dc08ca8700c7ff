#include "tools/time_limit.h"

#include <fmt/format.h>

#include <map>

#include "tools/cli.h"

namespace golf {

CLI::Option* AddTimeLimit(CLI::App& app, const char* flag, std::optional<double>& limit,
                          const std::string& help) {
  return app.add_option(flag, limit, help)
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber.description(""));
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
  std::string message = fmt::format("{} took {:.1f} s, {} is {:g}", what, seconds, flag, *limit);
  if (over_time == OverTime::kFail) return {Code::kOverBudget, std::move(message)};
  Warn(message);
  return {};
}

}  // namespace golf
