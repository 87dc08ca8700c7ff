// Forms: 0 a whole model; 1 pieces, written as a model whose byte table is known.
#include "artifact/byte_table.h"
#include "kernels/base/check.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"

namespace golf::test {
namespace {

using Bytes = std::vector<uint8_t>;

// A varint; `overlong` adds bytes that mean nothing.
void PutVarint(Bytes& to, uint64_t value, bool overlong = false) {
  for (; value >= 0x80 || overlong; value >>= 7) {
    to.push_back(static_cast<uint8_t>(value | 0x80));
    if (value < 0x80) overlong = false;
  }
  to.push_back(static_cast<uint8_t>(value));
}

void PutField(Bytes& to, uint64_t number, const Bytes& content, bool overlong = false) {
  PutVarint(to, number << 3 | 2);
  PutVarint(to, content.size(), overlong);
  to.insert(to.end(), content.begin(), content.end());
}

// A field of any type that readers have to skip.
void PutUnknown(InputReader& in, Bytes& to) {
  const uint64_t number = 16 + in.Byte();
  switch (in.Below(4)) {
    case 0:
      PutVarint(to, number << 3);
      PutVarint(to, in.Value<uint64_t>());
      break;
    case 1:
      PutVarint(to, number << 3 | 1);
      to.resize(to.size() + 8);
      break;
    case 2:
      PutField(to, number, in.Bytes(in.Below(16)));
      break;
    default:
      PutVarint(to, number << 3 | 5);
      to.resize(to.size() + 4);
  }
}

void Pieces(InputReader& in) {
  static constexpr uint8_t kSpaceMark[] = {0xe2, 0x96, 0x81};
  Bytes model;
  ByteTable expected;
  do {
    const uint64_t type = 1 + in.Below(6);
    const bool space = in.Below(2) == 1, counts = type == 1 || type == 4;
    Bytes text = in.Bytes(in.Below(8));
    const auto mark = [&] {
      return std::search(text.begin(), text.end(), kSpaceMark, kSpaceMark + 3);
    };
    while (mark() != text.end()) *mark() = 'x';  // marks stand where this function puts them
    size_t bytes = text.size();
    if (in.Rarely()) {  // spaces within
      const size_t marks = 1 + in.Below(3);
      text.push_back('y');
      for (size_t i = 0; i < marks; ++i) text.insert(text.end(), kSpaceMark, kSpaceMark + 3);
      bytes += 1 + marks;
    }
    expected.bytes.push_back(counts ? static_cast<uint16_t>(bytes) : type == 6 ? 1 : 0);
    expected.leading_space.push_back(counts && space ? 1 : 0);
    expected.boundary.push_back(type == 2 || type == 3 || type == 5 ? 1 : 0);
    if (space) text.insert(text.begin(), kSpaceMark, kSpaceMark + 3);
    Bytes piece;
    if (in.Rarely()) PutUnknown(in, piece);
    PutField(piece, 1, text, in.Rarely());
    if (type != 1 || in.Below(2) == 1) {
      PutVarint(piece, 3 << 3);
      PutVarint(piece, type, in.Rarely());
    }
    PutField(model, 1, piece, in.Rarely());
    if (in.Rarely()) PutUnknown(in, model);
  } while (!in.done());
  const auto table = ParseByteTable(model);
  GOLF_CHECK(table.ok() && *table == expected);
}

void WholeModel(const Bytes& model) {
  const auto table = ParseByteTable(model);
  if (!table.ok()) return;
  GOLF_CHECK(table->size() > 0 && table->leading_space.size() == table->size() &&
             table->boundary.size() == table->size());
  size_t bytes = 0;
  for (size_t i = 0; i < table->size(); ++i) {
    GOLF_CHECK(table->leading_space[i] <= 1 && table->boundary[i] <= 1);
    GOLF_CHECK(!table->boundary[i] || table->bytes[i] == 0);
    bytes += table->Count(0, static_cast<int32_t>(i));
  }
  GOLF_CHECK(bytes <= 2 * model.size() + 1);
}

}  // namespace

void FuzzTokenizer(std::span<const uint8_t> input) {
  InputReader in(input);
  if (in.Below(2) == 0) return WholeModel(in.Rest());
  Pieces(in);
}

}  // namespace golf::test
