// The fixed part of a checkpoint's bytes, shared by reader and writer.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#define XXH_INLINE_ALL  // no library to link, and none for golf-run to load
#include <xxhash.h>

namespace golf {

constexpr size_t kCheckpointAlignment = 64;
constexpr std::array<char, 8> kCheckpointMagic = {'G', 'O', 'L', 'F', 'C', 'K', 'P', 'T'};
constexpr uint32_t kCheckpointVersion = 1;

struct CheckpointHeader {
  std::array<char, 8> magic = kCheckpointMagic;
  uint32_t version = kCheckpointVersion;
  uint32_t reserved = 0;
  uint64_t file_bytes = 0;         // of the whole file
  uint64_t description_bytes = 0;  // without padding; starts at byte 64
  uint64_t description_xxh3 = 0;
  uint64_t zero[2] = {0, 0};
  uint64_t header_xxh3 = 0;  // of the 56 bytes before it
};
static_assert(sizeof(CheckpointHeader) == kCheckpointAlignment);

inline uint64_t Xxh3(std::span<const uint8_t> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

inline uint64_t HeaderXxh3(const CheckpointHeader& header) {
  return XXH3_64bits(&header, offsetof(CheckpointHeader, header_xxh3));
}

inline size_t CheckpointPadding(size_t bytes) { return -bytes % kCheckpointAlignment; }

}  // namespace golf
