#include "artifact/byte_table.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "artifact/file.h"

namespace golf {
namespace {

constexpr size_t kMaxModelBytes = 64 << 20;
constexpr size_t kMaxPieces = 65536;      // token ids are uint16 in shards
constexpr size_t kMaxPieceBytes = 65535;  // fits ByteTable::bytes

// The protocol buffer wire format: (field number << 3 | wire type), then a varint, 8 bytes, a length and bytes, or 4 bytes.
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

enum PieceType : uint64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct Piece {
  std::string_view text;
  uint64_t type = kNormal;  // the schema's default when the field is absent
};

// ModelProto.SentencePiece: field 1 = piece (string), 2 = score, 3 = type.
std::optional<Piece> ParsePiece(std::span<const uint8_t> bytes) {
  Piece piece;
  for (WireReader reader(bytes); !reader.done();) {
    const auto field = reader.Next();
    if (!field) return std::nullopt;
    if (field->number == 1 && field->wire_type == 2) {
      piece.text = {reinterpret_cast<const char*>(field->bytes.data()), field->bytes.size()};
    } else if (field->number == 3 && field->wire_type == 0) {
      piece.type = field->value;
    }
  }
  if (piece.type < kNormal || piece.type > kByte || piece.text.size() > kMaxPieceBytes)
    return std::nullopt;
  return piece;
}

void Append(const Piece& piece, ByteTable& table) {
  static constexpr std::string_view kSpaceMark = "\xe2\x96\x81";
  uint16_t bytes = 0;
  bool space = false, boundary = false;
  switch (piece.type) {
    case kControl:
    case kUnknown:
    case kUnused:
      boundary = true;
      break;
    case kByte:
      bytes = 1;
      break;
    default:
      space = piece.text.starts_with(kSpaceMark);
      bytes = static_cast<uint16_t>(piece.text.size() - (space ? kSpaceMark.size() : 0));
  }
  table.bytes.push_back(bytes);
  table.leading_space.push_back(space ? 1 : 0);
  table.boundary.push_back(boundary ? 1 : 0);
}

}  // namespace

Result<ByteTable> ParseByteTable(std::span<const uint8_t> model) {
  const auto bad = [](const std::string& why) {
    return Status{Code::kBadData, "not a SentencePiece model: " + why};
  };
  ByteTable table;
  for (WireReader reader(model); !reader.done();) {
    const auto field = reader.Next();
    if (!field) return bad("malformed protocol buffer");
    if (field->number != 1) continue;  // trainer and normalizer settings, self tests
    if (field->wire_type != 2) return bad("field 1 is not a list of pieces");
    const auto piece = ParsePiece(field->bytes);
    if (!piece) return bad("piece " + std::to_string(table.size()) + " is malformed");
    if (table.size() == kMaxPieces) return bad("more than 65536 pieces");
    Append(*piece, table);
  }
  if (table.size() == 0) return bad("it has no pieces");
  return table;
}

Result<ByteTable> ReadByteTable(const std::string& tokenizer_model_path) {
  GOLF_ASSIGN(const std::vector<uint8_t> model, ReadFile(tokenizer_model_path, kMaxModelBytes));
  Result<ByteTable> table = ParseByteTable(model);
  if (!table.ok())
    return Status{table.status().code(), tokenizer_model_path + ": " + table.status().message()};
  return table;
}

}  // namespace golf
