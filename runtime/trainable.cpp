#include "runtime/trainable.h"

#include <fmt/format.h>

#include <algorithm>

namespace golf {

TrainableRules FreezeFirstBlocks(uint32_t blocks) {
  TrainableRules rules;
  for (uint32_t i = 0; i < blocks; ++i) rules.push_back(fmt::format("-blocks.{}.*", i));
  return rules;
}

TrainableRules ScalesAndLastBlocks(uint32_t blocks) {
  TrainableRules rules = {"-*", "+*scale*"};
  for (uint32_t i = 1; i <= blocks; ++i) rules.push_back(fmt::format("+blocks.-{}.*", i));
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

bool MatchesAny(std::span<const std::string> patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [name](const std::string& pattern) { return MatchesPattern(pattern, name); });
}

namespace {

// The number behind `prefix`, and how many characters both take; 0 characters if there is none.
struct NumberAfter {
  int64_t number = 0;
  size_t length = 0;
};

NumberAfter ReadNumberAfter(std::string_view prefix, std::string_view text) {
  constexpr size_t kMostDigits = 6;
  if (!text.starts_with(prefix)) return {};
  NumberAfter result;
  size_t i = prefix.size();
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    result.number = 10 * result.number + (text[i] - '0');
  }
  const size_t digits = i - prefix.size();
  if (digits > 0 && digits <= kMostDigits && i < text.size() && text[i] == '.') result.length = i;
  return result;
}

int64_t CountBlocks(const TensorSet& weights) {
  int64_t blocks = 0;
  for (size_t i = 0; i < weights.count(); ++i) {
    const NumberAfter block = ReadNumberAfter("blocks.", weights.name(i));
    if (block.length > 0) blocks = std::max(blocks, block.number + 1);
  }
  return blocks;
}

// "blocks.-1.x" in a network of 11 blocks is "blocks.10.x".
std::string CountedFromTheStart(std::string_view pattern, const TensorSet& weights) {
  const NumberAfter from_end = ReadNumberAfter("blocks.-", pattern);
  if (from_end.length == 0) return std::string(pattern);
  return fmt::format("blocks.{}{}", CountBlocks(weights) - from_end.number,
                     pattern.substr(from_end.length));
}

}  // namespace

Result<std::vector<bool>> SelectTrainable(const TrainableRules& rules, const TensorSet& weights) {
  std::vector<bool> trainable(weights.count(), true);
  for (const std::string& rule : rules) {
    if (rule.size() < 2 || (rule[0] != '+' && rule[0] != '-')) {
      return Status(
          Code::kUsage,
          fmt::format("'{}' is no rule: expected + or - and a pattern of weight names", rule));
    }
    const std::string pattern = CountedFromTheStart(std::string_view(rule).substr(1), weights);
    bool matched = false;
    for (size_t i = 0; i < weights.count(); ++i) {
      if (!MatchesPattern(pattern, weights.name(i))) continue;
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
