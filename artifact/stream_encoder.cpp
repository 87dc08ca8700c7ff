#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <new>

#include "artifact/stream_coder.h"
#include "kernels/base/check.h"

namespace golf {
namespace {

using Context = std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)>;

std::vector<uint8_t> SplitPlanes(std::span<const uint8_t> elements, size_t element_bytes) {
  const size_t n = elements.size() / element_bytes;
  std::vector<uint8_t> planes(elements.size());
  for (size_t plane = 0; plane < element_bytes; ++plane) {
    const uint8_t* from = elements.data() + (element_bytes - 1 - plane);
    for (size_t i = 0; i < n; ++i) planes[plane * n + i] = from[i * element_bytes];
  }
  return planes;
}

Context MakeContext(int level, size_t content_bytes, int shortest_match) {
  Context context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  if (context == nullptr) throw std::bad_alloc();
  const auto set = [&](ZSTD_cParameter parameter, int value) {
    GOLF_CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(context.get(), parameter, value)));
  };
  // A window that covers the content makes the frame a single segment, which is the only kind the decoder takes.
  const ZSTD_bounds window = ZSTD_cParam_getBounds(ZSTD_c_windowLog);
  const int log = std::clamp(static_cast<int>(std::bit_width(content_bytes - 1)), window.lowerBound,
                             window.upperBound);
  set(ZSTD_c_compressionLevel, level);
  set(ZSTD_c_checksumFlag, 1);
  set(ZSTD_c_windowLog, log);
  if (shortest_match > 0) set(ZSTD_c_minMatch, shortest_match);
  GOLF_CHECK(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context.get(), content_bytes)));
  return context;
}

// Each plane ends a block: a block has one table of byte frequencies, and the planes of a float have nothing in common.
std::vector<uint8_t> EncodePlanes(std::span<const uint8_t> planes, size_t plane_count, int level,
                                  int shortest_match) {
  const Context context = MakeContext(level, planes.size(), shortest_match);
  std::vector<uint8_t> frame(ZSTD_compressBound(planes.size()) + 64 * plane_count);
  ZSTD_outBuffer out{frame.data(), frame.size(), 0};
  const size_t plane_bytes = planes.size() / plane_count;
  for (size_t plane = 0; plane < plane_count; ++plane) {
    ZSTD_inBuffer in{planes.data() + plane * plane_bytes, plane_bytes, 0};
    const ZSTD_EndDirective end = plane + 1 == plane_count ? ZSTD_e_end : ZSTD_e_flush;
    size_t left;
    do {
      left = ZSTD_compressStream2(context.get(), &out, &in, end);
      if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation) throw std::bad_alloc();
      GOLF_CHECK(!ZSTD_isError(left) && out.pos < out.size);
    } while (left != 0);
  }
  frame.resize(out.pos);
  return frame;
}

}  // namespace

int MaxStreamLevel() { return ZSTD_maxCLevel(); }

std::vector<uint8_t> EncodeStream(std::span<const uint8_t> decoded, size_t element_bytes,
                                  int level) {
  GOLF_CHECK(!decoded.empty() && decoded.size() % element_bytes == 0);
  const std::vector<uint8_t> planes = SplitPlanes(decoded, element_bytes);
  // Quantised weights are noise to a match finder: forbidding matches shorter than 7 bytes leaves them to the entropy coder
  // and saves about 0.8 %. Text and repeated rows want the level's own choice.
  static constexpr int kLevelsChoice = 0, kLongMatchesOnly = 7;
  std::vector<uint8_t> a = EncodePlanes(planes, element_bytes, level, kLongMatchesOnly);
  std::vector<uint8_t> b = EncodePlanes(planes, element_bytes, level, kLevelsChoice);
  return b.size() < a.size() ? b : a;
}

}  // namespace golf
