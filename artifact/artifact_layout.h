// The fixed parts of an artifact's bytes and the limits on its variable ones, shared by reader and writer. The whole layout
// stands in schemas/FORMAT.md.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace golf {

struct ArtifactHeader {
  std::array<char, 4> magic = {'G', 'O', 'L', 'F'};
  uint32_t version = 1;
  uint32_t description_encoded_bytes = 0;  // a zstd frame right behind the header
  uint32_t description_decoded_bytes = 0;
};
static_assert(sizeof(ArtifactHeader) == 16);

constexpr size_t kContentHashBytes =
    32;  // SHA-256 of all bytes before it; the last thing in the file
constexpr uint8_t kStreamCoderVersion = 1;

// Limits on what a reader believes. Far above what fits any byte budget, far below what would hurt.
constexpr size_t kMaxArtifactBytes = size_t{1} << 31;
constexpr size_t kMaxDescriptionBytes = size_t{16} << 20;
constexpr size_t kMaxTensors = 16384;
constexpr size_t kMaxStreams = 32768;
constexpr size_t kMaxEncodings = 256;
constexpr size_t kMaxTensorDimensions = 4;
constexpr size_t kMaxTensorNameBytes = 256;

// All streams together decode to at most this many bytes. Real weights compress by less than 10 to 1, all-zero ones of an
// untrained network by more: hence the constant part.
constexpr uint64_t MaxDecodedBytes(uint64_t file_bytes) {
  return 64 * file_bytes + (uint64_t{16} << 20);
}

}  // namespace golf
