#include "runtime/trainable.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/block_name.h"

namespace golf {
namespace {

// The N of a pattern "blocks.-N.<rest>", the last but N - 1 block; nothing for others.
std::optional<uint32_t> BlockFromTheEnd(std::string_view pattern) {
  constexpr std::string_view kPrefix = "blocks.-";
  if (!pattern.starts_with(kPrefix)) return std::nullopt;
  return BlockOf(fmt::format("blocks.{}", pattern.substr(kPrefix.size())));
}

}  // namespace

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

TrainableRules WithinBlocks(TrainableRules rules, uint32_t blocks) {
  std::erase_if(rules, [blocks](std::string_view rule) {
    const std::string_view pattern = rule.substr(std::min<size_t>(rule.size(), 1));
    const auto block = BlockOf(pattern), from_end = BlockFromTheEnd(pattern);
    return (block && *block >= blocks) || (from_end && *from_end > blocks);
  });
  return rules;
}

uint32_t CountBlocks(const TensorSet& weights) {
  uint32_t blocks = 0;
  for (size_t i = 0; i < weights.count(); ++i) {
    if (const auto block = BlockOf(weights.name(i))) blocks = std::max(blocks, *block + 1);
  }
  return blocks;
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

// "blocks.-1.x" in a network of 11 blocks is "blocks.10.x".
std::string CountedFromTheStart(std::string_view pattern, const TensorSet& weights) {
  const auto from_end = BlockFromTheEnd(pattern);
  if (!from_end) return std::string(pattern);
  return fmt::format("blocks.{}{}", int64_t{CountBlocks(weights)} - int64_t{*from_end},
                     pattern.substr(pattern.find('.', sizeof("blocks.") - 1)));
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
