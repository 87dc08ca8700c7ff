// The compression function of SHA-256 (FIPS 180-4, 6.2.2): folds whole blocks into the state.
#pragma once
#include <cstddef>
#include <cstdint>

namespace golf {

// `state` has 8 words, `blocks` 64 * count bytes.
using Sha256Compress = void (*)(uint32_t* state, const uint8_t* blocks, size_t count);

void Sha256CompressPortable(uint32_t* state, const uint8_t* blocks, size_t count);

// By the CPU's SHA instructions where it has them, otherwise the portable one.
Sha256Compress FastestSha256Compress();

}  // namespace golf
