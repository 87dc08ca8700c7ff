// One compressed stream: elements of 1, 2 or 4 bytes as byte planes in one zstd frame. The decoder is built for hostile
// bytes: it knows how much must come out before it starts, and refuses every frame that says anything else.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

// Decodes exactly `decoded_bytes` bytes: `elements` of `element_bytes` (1, 2 or 4), planes interleaved again. The frame must
// fill `encoded`, carry content size and checksum, need no window beyond its content and no dictionary.
Result<std::vector<uint8_t>> DecodeStream(std::span<const uint8_t> encoded, size_t element_bytes,
                                          size_t decoded_bytes);

// The smallest of the frames that zstd finds at `level`; the same bytes for the same input and library. `decoded` is not
// empty and a multiple of element_bytes.
std::vector<uint8_t> EncodeStream(std::span<const uint8_t> decoded, size_t element_bytes,
                                  int level);

int MaxStreamLevel();  // 22; the lowest is 1

}  // namespace golf
