#include "artifact/byte_table.h"

#include <optional>
#include <string_view>

#include "artifact/file.h"
#include "artifact/file_kind.h"
#include "artifact/wire_reader.h"

namespace golf {
namespace {

constexpr size_t kMaxModelBytes = 64 << 20;
constexpr size_t kMaxPieces = 65536;      // token ids are uint16 in shards
constexpr size_t kMaxPieceBytes = 65535;  // fits ByteTable::bytes

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

// The length of the text that a piece stands for: each space mark is one byte of it.
size_t TextBytes(std::string_view piece) {
  size_t bytes = piece.size();
  for (size_t at = 0; (at = piece.find(kSpaceMark, at)) != piece.npos; at += kSpaceMark.size())
    bytes -= kSpaceMark.size() - 1;
  return bytes;
}

void Append(const Piece& piece, ByteTable& table) {
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
      bytes = static_cast<uint16_t>(TextBytes(piece.text) - (space ? 1 : 0));
  }
  table.bytes.push_back(bytes);
  table.leading_space.push_back(space ? 1 : 0);
  table.boundary.push_back(boundary ? 1 : 0);
}

}  // namespace

std::string WhyTooManyBytes(const ByteTable& table) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (table.leading_space[i] != 0 && table.bytes[i] == 0) return {};
  }
  return "the tokenizer has no piece for a space alone; a space that it spells in bytes counts 3, "
         "and bits per byte are then too low";
}

Result<ByteTable> ParseByteTable(std::span<const uint8_t> model) {
  const auto bad = [&](const std::string& why) {
    const FileKind kind = KindOf(model);
    if (kind != FileKind::kUnknown && kind != FileKind::kTokenizer)
      return NotA("a SentencePiece model", model);
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
