// How many bytes of the original text each token stands for: the denominator of bits per byte.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

struct ByteTable {
  // UTF-8 length of the piece's text without a leading space; byte pieces 1, control pieces 0. A space mark (U+2581)
  // stands for a space, one byte, wherever it is in the piece.
  std::vector<uint16_t> bytes;
  std::vector<uint8_t> leading_space;  // 1: the piece starts with the space mark U+2581
  std::vector<uint8_t> boundary;  // 1: control, unknown or unused; a space after it is not counted

  size_t size() const { return bytes.size(); }
  // Bytes that `target` contributes after `previous`. Both must be below size().
  uint32_t Count(int32_t previous, int32_t target) const {
    const auto p = static_cast<size_t>(previous), t = static_cast<size_t>(target);
    return uint32_t{bytes[t]} + (leading_space[t] & (boundary[p] ^ 1U));
  }
  bool operator==(const ByteTable&) const = default;
};

inline constexpr std::string_view kSpaceMark =
    "\xe2\x96\x81";  // SentencePiece's letter for a space

// For a warning wherever bits per byte are told: why the table may count more bytes than a text has. Empty if nothing is
// known against it.
std::string WhyTooManyBytes(const ByteTable& table);

// From a SentencePiece model file (a protocol buffer), read without SentencePiece. kBadData for anything malformed.
Result<ByteTable> ReadByteTable(const std::string& tokenizer_model_path);
Result<ByteTable> ParseByteTable(std::span<const uint8_t> model);

}  // namespace golf
