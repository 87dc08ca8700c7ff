// Counts bytes from text and byte table alone, for those who check a scorer's sums (they share no code with it).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "artifact/byte_table.h"
#include "kernels/base/status.h"

namespace golf {

struct TargetRange {
  uint64_t begin, end;  // target t is the prediction of token t + 1
};

class ByteRecount {
 public:
  ByteRecount(ByteTable table, std::vector<uint16_t> tokens)
      : table_(std::move(table)), tokens_(std::move(tokens)) {}

  // No value if the range reaches beyond the text or a token beyond the table.
  std::optional<uint64_t> Bytes(TargetRange range) const;

 private:
  ByteTable table_;
  std::vector<uint16_t> tokens_;
};

}  // namespace golf
