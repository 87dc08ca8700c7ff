// The protocol buffer wire format: (field number << 3 | wire type), then a varint, 8 bytes, a length and bytes, or 4 bytes.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

namespace golf {

class WireReader {
 public:
  explicit WireReader(std::span<const uint8_t> bytes) : rest_(bytes) {}

  struct Field {
    uint64_t number;
    uint64_t value;                  // of a varint
    std::span<const uint8_t> bytes;  // of a length-delimited field
    int wire_type;
  };

  bool done() const { return rest_.empty(); }

  // The next field, or nothing if the bytes are malformed.
  std::optional<Field> Next() {
    const std::optional<uint64_t> key = Varint();
    if (!key || *key >> 3 == 0) return std::nullopt;
    Field field{*key >> 3, 0, {}, static_cast<int>(*key & 7)};
    std::optional<uint64_t> length = 0;
    switch (field.wire_type) {
      case 0: {
        const std::optional<uint64_t> value = Varint();
        if (!value) return std::nullopt;
        field.value = *value;
        return field;
      }
      case 1:
        length = 8;
        break;
      case 2:
        length = Varint();
        break;
      case 5:
        length = 4;
        break;
      default:
        return std::nullopt;
    }
    if (!length || *length > rest_.size()) return std::nullopt;
    field.bytes = rest_.first(*length);
    rest_ = rest_.subspan(*length);
    return field;
  }

 private:
  std::optional<uint64_t> Varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const uint8_t b = rest_.front();
      rest_ = rest_.subspan(1);
      value |= uint64_t{b & 0x7fU} << shift;
      if (b < 0x80) return value;
    }
    return std::nullopt;
  }

  std::span<const uint8_t> rest_;
};

}  // namespace golf
