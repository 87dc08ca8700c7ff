// zstd frames (RFC 8878) for fuzz targets: made without a compressor, and with checksums that fit what was changed.
#pragma once
#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_d_forceIgnoreChecksum
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace golf::test {

inline void AppendLittleEndian(std::vector<uint8_t>& to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) to.push_back(static_cast<uint8_t>(value >> 8 * i));
}

// A frame of the form that artifacts use, its content stored in raw blocks.
inline std::vector<uint8_t> RawFrame(std::span<const uint8_t> content) {
  constexpr size_t kMaxBlockBytes = 1 << 17;
  const XXH64_hash_t checksum = XXH64(content.data(), content.size(), 0);
  // Content size of 4 bytes, single segment, checksum.
  std::vector<uint8_t> frame = {0x28, 0xb5, 0x2f, 0xfd, 2 << 6 | 1 << 5 | 1 << 2};
  AppendLittleEndian(frame, content.size(), 4);
  bool last;
  do {
    const auto block = content.first(std::min(content.size(), kMaxBlockBytes));
    content = content.subspan(block.size());
    last = content.empty();
    AppendLittleEndian(frame, block.size() << 3 | (last ? 1 : 0), 3);
    frame.insert(frame.end(), block.begin(), block.end());
  } while (!last);
  AppendLittleEndian(frame, checksum, 4);
  return frame;
}

// Makes the checksum at the end of a frame fit its content, if there is a small one to be found.
inline void RepairChecksum(std::span<uint8_t> frame) {
  constexpr unsigned long long kMaxContentBytes = 1 << 20;
  const unsigned long long content = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (frame.size() < 10 || content > kMaxContentBytes) return;  // errors are large numbers
  std::vector<uint8_t> decoded(content);
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                   ZSTD_freeDCtx);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
  const size_t n = ZSTD_decompressDCtx(context.get(), decoded.data(), decoded.size(), frame.data(),
                                       frame.size());
  if (ZSTD_isError(n)) return;
  const auto checksum = static_cast<uint32_t>(XXH64(decoded.data(), n, 0));
  std::memcpy(&frame[frame.size() - 4], &checksum, sizeof(checksum));
}

}  // namespace golf::test
