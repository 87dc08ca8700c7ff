// SentencePiece models made by hand: unigram models in which the segmentation into the fewest pieces wins.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace golf::test {

inline const std::string kMark = "\xe2\x96\x81";

struct TokenizerModel {
  std::vector<std::string> pieces = {};  // without the characters, which have a piece each
  std::string characters = "abcdefghijklmnopqrstuvwxyz";
  std::vector<std::string> user_defined = {};
  bool lone_mark = true;  // has the piece of a space alone
  bool byte_pieces = true;
  bool adds_space = true;
  bool removes_spaces = false;
  bool marks_spaces = true;
  bool space_behind = false;  // treat_whitespace_as_suffix

  // The model file: unknown 0, BOS 1, EOS 2, bytes, then the rest.
  std::string Bytes() const {
    std::string model = Piece("<unk>", 2) + Piece("<s>", 3) + Piece("</s>", 3);
    for (int i = 0; byte_pieces && i < 256; ++i) {
      const char* const digits = "0123456789ABCDEF";
      model += Piece(std::string("<0x") + digits[i / 16] + digits[i % 16] + ">", 6);
    }
    if (lone_mark) model += Piece(kMark, 1);
    for (const char c : characters) model += Piece(std::string(1, c), 1);
    for (const std::string& text : pieces) model += Piece(text, 1);
    for (const std::string& text : user_defined) model += Piece(text, 4);
    model += Field(2, Number(3, 1) + Number(24, space_behind) + Number(35, byte_pieces));
    model += Field(3, Field(1, "identity") + Number(3, adds_space) + Number(4, removes_spaces) +
                          Number(5, marks_spaces));
    return model;
  }

 private:
  static std::string Varint(uint64_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
    return bytes + static_cast<char>(value);
  }
  static std::string Number(uint64_t field, uint64_t value) {
    return Varint(field << 3) + Varint(value);
  }
  static std::string Field(uint64_t field, const std::string& bytes) {
    return Varint(field << 3 | 2) + Varint(bytes.size()) + bytes;
  }
  static std::string Piece(const std::string& text, uint64_t type) {
    const float score = -1;
    std::string bytes(sizeof score, '\0');
    std::memcpy(bytes.data(), &score, sizeof score);
    return Field(1, Field(1, text) + "\x15" + bytes + Number(3, type));
  }
};

}  // namespace golf::test
