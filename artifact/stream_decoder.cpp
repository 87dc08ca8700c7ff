#include <zstd.h>

#include <memory>
#include <new>
#include <string>

#include "artifact/stream_coder.h"

namespace golf {
namespace {

// The frame header (RFC 8878, 3.1.1): 4 bytes magic, then a descriptor whose bits say what follows. We write, and accept,
// exactly one form: single segment (the window is the content, so no memory beyond the result), with checksum, no
// dictionary, reserved bits zero. The two top bits are the width of the content size.
bool HasOurFrameHeader(std::span<const uint8_t> frame) {
  static constexpr uint8_t kMagic[4] = {0x28, 0xb5, 0x2f, 0xfd};
  static constexpr uint8_t kDescriptor = 1 << 5 | 1 << 2;  // single segment, checksum
  if (frame.size() < 6) return false;
  for (size_t i = 0; i < 4; ++i) {
    if (frame[i] != kMagic[i]) return false;
  }
  return (frame[4] & 0x3f) == kDescriptor;
}

std::vector<uint8_t> JoinPlanes(std::span<const uint8_t> planes, size_t element_bytes) {
  const size_t n = planes.size() / element_bytes;
  std::vector<uint8_t> joined(planes.size());
  for (size_t plane = 0; plane < element_bytes; ++plane) {
    const uint8_t* from = planes.data() + plane * n;
    uint8_t* to =
        joined.data() + (element_bytes - 1 - plane);  // the first plane is the most significant
    for (size_t i = 0; i < n; ++i) to[i * element_bytes] = from[i];
  }
  return joined;
}

}  // namespace

Result<std::vector<uint8_t>> DecodeStream(std::span<const uint8_t> encoded, size_t element_bytes,
                                          size_t decoded_bytes) {
  const auto bad = [](const std::string& why) { return Status{Code::kBadData, why}; };
  if (!HasOurFrameHeader(encoded)) return bad("not a zstd frame of the expected form");
  const unsigned long long content = ZSTD_getFrameContentSize(encoded.data(), encoded.size());
  if (content != decoded_bytes)
    return bad("the frame holds another number of bytes than its tensors need");
  if (ZSTD_findFrameCompressedSize(encoded.data(), encoded.size()) != encoded.size()) {
    return bad("the frame is shorter or longer than its place in the file");
  }
  std::vector<uint8_t> decoded(decoded_bytes);
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                   ZSTD_freeDCtx);
  if (context == nullptr) throw std::bad_alloc();
  const size_t written = ZSTD_decompressDCtx(context.get(), decoded.data(), decoded.size(),
                                             encoded.data(), encoded.size());
  if (written != decoded_bytes) return bad(std::string("zstd: ") + ZSTD_getErrorName(written));
  if (element_bytes == 1) return decoded;
  return JoinPlanes(decoded, element_bytes);
}

}  // namespace golf
