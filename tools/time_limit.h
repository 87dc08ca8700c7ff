// Limits of seconds: the flag that sets one, and what it means to exceed it.
#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/base/status.h"

namespace golf {

enum class OverTime { kFail, kWarn };

// `flag` SECONDS, more than 0.
CLI::Option* AddTimeLimit(CLI::App& app, const char* flag, std::optional<double>& limit,
                          const std::string& help);

// --over-time fail|warn, for every limit of the program.
void AddOverTimeFlag(CLI::App& app, OverTime& over_time);

// If `what` took more seconds than `flag` allows: kOverBudget, or with kWarn a line on stderr and ok.
Status CheckSeconds(std::string_view what, double seconds, std::string_view flag,
                    std::optional<double> limit, OverTime over_time);

}  // namespace golf
