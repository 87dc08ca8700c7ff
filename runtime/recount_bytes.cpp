#include "runtime/recount_bytes.h"

#include <algorithm>

namespace golf {

std::optional<uint64_t> ByteRecount::Bytes(TargetRange range) const {
  if (range.end >= tokens_.size()) return std::nullopt;
  uint64_t bytes = 0;
  for (uint64_t t = range.begin; t < range.end; ++t) {
    const size_t before = tokens_[t], target = tokens_[t + 1];
    if (std::max(before, target) >= table_.bytes.size()) return std::nullopt;
    const bool space = table_.leading_space[target] != 0 && table_.boundary[before] == 0;
    bytes += table_.bytes[target] + (space ? 1U : 0U);
  }
  return bytes;
}

}  // namespace golf
