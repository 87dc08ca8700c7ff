// One printable form for names and texts from outside (file names, tensor names, provenance,
// recipes, arguments), so that no escape sequence, forged line or reordered text of theirs reaches
// a terminal or a log.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/base/utf8.h"

namespace golf {

// True for code points that a terminal does not show as themselves: C0, DEL and C1 controls; line
// and paragraph separators; bidirectional marks, embeddings, overrides and isolates; zero-width and
// other invisible format characters; noncharacters.
inline bool IsUnprintable(uint32_t code) {
  struct Range {
    uint32_t first, last;
  };
  constexpr Range kRanges[] = {
      {0x00, 0x1F},       {0x7F, 0x9F},      // controls
      {0xAD, 0xAD},                          // soft hyphen
      {0x61C, 0x61C},                        // Arabic letter mark
      {0x115F, 0x1160},   {0x17B4, 0x17B5},  // fillers, inherent vowels: no width
      {0x180B, 0x180F},                      // Mongolian selectors and vowel separator
      {0x200B, 0x200F},  // zero-width characters, left-to-right and right-to-left marks
      {0x2028, 0x202E},  // separators, embeddings, overrides
      {0x2060, 0x206F},  // word joiner, invisible operators, isolates
      {0x3164, 0x3164},   {0xFDD0, 0xFDEF},  // filler, noncharacters
      {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},  // byte order mark, filler
      {0xFFF0, 0xFFFB},   {0xFFFE, 0xFFFF},  // annotations, noncharacters
      {0x1D173, 0x1D17A},                    // musical format characters
      {0xE0000, 0xE0FFF},                    // tags, selectors
  };
  for (const Range& range : kRanges) {
    if (code >= range.first && code <= range.last) return true;
  }
  return false;
}

// Passes the printable form of `text` to `put`, piece by piece, as string_views. Allocates nothing,
// so that a signal handler may call it.
template <class Put>
void ForEachPrintable(std::string_view text, const Put& put) {
  constexpr char kDigits[] = "0123456789abcdef";
  size_t shown = 0;  // from here to `at` characters stay as they are
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(text.substr(at));
    const uint32_t code =
        length == 0 ? static_cast<uint8_t>(text[at]) : CodePoint(text.substr(at, length));
    if (length != 0 && !IsUnprintable(code)) {
      at += length;
      continue;
    }
    if (at > shown) put(text.substr(shown, at - shown));
    char escape[12];  // \x1b for a byte, \u{202e} for a character of several
    size_t n = 0;
    escape[n++] = '\\';
    escape[n++] = length > 1 ? 'u' : 'x';
    if (length > 1) escape[n++] = '{';
    int digits = 2;
    while (length > 1 && code >> 4 * digits != 0) ++digits;
    while (digits > 0) escape[n++] = kDigits[code >> 4 * --digits & 0xF];
    if (length > 1) escape[n++] = '}';
    put(std::string_view(escape, n));
    at += length == 0 ? 1 : length;
    shown = at;
  }
  if (shown < text.size()) put(text.substr(shown));
}

// The printable form: well-formed UTF-8 in one line. Each unprintable ASCII character and each byte
// that is not UTF-8 is written as \xNN, every other unprintable character as \u{N...}; the rest is
// unchanged, backslashes too. The printable form of a printable form is the same text.
[[gnu::noinline]] inline std::string Printable(std::string_view text) {
  std::string printable;
  printable.reserve(text.size());
  ForEachPrintable(text, [&](std::string_view piece) { printable += piece; });
  return printable;
}

}  // namespace golf
