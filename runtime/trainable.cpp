#include "runtime/trainable.h"

#include <fmt/format.h>

#include <algorithm>

namespace golf {

TrainableRules FreezeFirstBlocks(uint32_t blocks) {
  TrainableRules rules;
  for (uint32_t i = 0; i < blocks; ++i) rules.push_back(fmt::format("-blocks.{}.*", i));
  return rules;
}

// On a mismatch the last '*' seen takes one character more; earlier ones never need to change.
bool MatchesPattern(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, star_end = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_end = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_end;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Result<std::vector<bool>> SelectTrainable(const TrainableRules& rules, const TensorSet& weights) {
  std::vector<bool> trainable(weights.count(), true);
  for (const std::string& rule : rules) {
    if (rule.size() < 2 || (rule[0] != '+' && rule[0] != '-')) {
      return Status(
          Code::kUsage,
          fmt::format("'{}' is no rule: expected + or - and a pattern of weight names", rule));
    }
    bool matched = false;
    for (size_t i = 0; i < weights.count(); ++i) {
      if (!MatchesPattern(std::string_view(rule).substr(1), weights.name(i))) continue;
      trainable[i] = rule[0] == '+';
      matched = true;
    }
    if (!matched)
      return Status(Code::kUsage, fmt::format("rule '{}' matches no weight of this network", rule));
  }
  if (std::find(trainable.begin(), trainable.end(), true) == trainable.end()) {
    return Status(Code::kUsage, "the rules freeze every weight: nothing to train");
  }
  return trainable;
}

}  // namespace golf
