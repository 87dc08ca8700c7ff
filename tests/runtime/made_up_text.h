// A token stream and a byte table for tests.
#pragma once
#include <cstdint>
#include <random>
#include <vector>

#include "artifact/byte_table.h"
#include "runtime/token_stream.h"

namespace golf::test {

inline constexpr uint32_t kVocab = 50;

inline TokenStream RandomStream(size_t tokens, unsigned seed = 1) {
  std::mt19937 rng(seed);
  std::vector<uint16_t> ids(tokens);
  for (uint16_t& id : ids) id = static_cast<uint16_t>(rng() % kVocab);
  return *TokenStream::FromTokens(std::move(ids), kVocab);
}

// Token i: i % 5 bytes; every third begins with a space; ids 0 and 1 are control tokens.
inline ByteTable MadeUpBytes() {
  ByteTable table;
  for (uint32_t i = 0; i < kVocab; ++i) {
    table.boundary.push_back(i < 2 ? 1 : 0);
    table.bytes.push_back(static_cast<uint16_t>(i < 2 ? 0 : i % 5));
    table.leading_space.push_back(i >= 2 && i % 3 == 0 ? 1 : 0);
  }
  return table;
}

}  // namespace golf::test
