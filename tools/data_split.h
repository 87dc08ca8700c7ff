// Which documents are for validation. The unit is the document, and no text is on both sides: a document whose text equals
// that of a validation document is left out of training.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace golf {

// XXH3-128 of a document's stripped UTF-8 text.
struct DocumentHash {
  uint64_t high = 0, low = 0;
  auto operator<=>(const DocumentHash&) const = default;
  std::string hex() const;  // 32 digits
};

DocumentHash HashText(std::string_view text);
// Of a document's token ids, for shards whose text is not at hand.
DocumentHash HashBytes(const void* data, size_t bytes);

struct DocumentHasher {  // for unordered sets; the bits are already mixed
  size_t operator()(const DocumentHash& h) const { return h.low; }
};

struct SplitRule {
  enum class Kind {
    kTrainFraction,  // by the text's hash: the same document goes to the same side in any corpus
    kFirst,          // the first `count` documents are for validation
    kEvery,          // every `count`-th document is for validation
    kTrainOnly,
    kValidationOnly,
  };
  Kind kind = Kind::kTrainFraction;
  double train_fraction = 0.95;
  uint64_t count = 0;

  bool IsValidation(uint64_t index, const DocumentHash& hash) const;
  std::string ToString() const;  // as in dataset.json
};

}  // namespace golf
