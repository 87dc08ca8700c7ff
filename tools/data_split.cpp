#include "tools/data_split.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace golf {

std::string DocumentHash::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

DocumentHash HashBytes(const void* data, size_t bytes) {
  const XXH128_hash_t h = XXH3_128bits(data, bytes);
  return {h.high64, h.low64};
}

DocumentHash HashText(std::string_view text) { return HashBytes(text.data(), text.size()); }

bool SplitRule::IsValidation(uint64_t index, const DocumentHash& hash) const {
  switch (kind) {
    case Kind::kTrainFraction:  // high: the low half picks the buckets of hash sets
      return static_cast<double>(hash.high >> 11) * 0x1p-53 >= train_fraction;
    case Kind::kFirst:
      return index < count;
    case Kind::kEvery:
      return index % count == count - 1;
    case Kind::kTrainOnly:
      return false;
    case Kind::kValidationOnly:
      return true;
  }
  return false;
}

std::string SplitRule::ToString() const {
  switch (kind) {
    case Kind::kTrainFraction:
      return fmt::format("train fraction {}", train_fraction);
    case Kind::kFirst:
      return fmt::format("first {} documents for validation", count);
    case Kind::kEvery:
      return fmt::format("every {}th document for validation", count);
    case Kind::kTrainOnly:
      return "all for training";
    case Kind::kValidationOnly:
      return "all for validation";
  }
  return {};
}

}  // namespace golf
