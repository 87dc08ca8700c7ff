// A product is cut into panels of 32 rows of A and strips of 32 columns of B. A panel stays in the L1 cache while the
// strips stream past it (hence the streaming loads: they leave the panel where it is), and the vector units bring the
// block before into C while the matrix unit works on the next: neither waits for the other.
//
// Long sums are cut into chunks of k, so that a chunk of B fits into the L2 cache; unfinished blocks of a group of
// panels wait in the scratch. Every element of C is one sum over k in order, whatever the threads and the other rows.
#include "kernels/cpu/gemm_amx.h"

#include <hwy/detect_compiler_arch.h>

#if HWY_ARCH_X86_64 && defined(__linux__)
#include <algorithm>

#include "kernels/base/check.h"
#include "kernels/cpu/gemm_amx_operands.h"
#include "kernels/cpu/parallel.h"
#include "kernels/threads.h"

GOLF_AMX_BEGIN
namespace golf::cpu::amx {
namespace {

constexpr size_t kChunk = 1536;  // of k
constexpr size_t kGroupPanels = 8;
constexpr size_t kBlockElements = kBlock * kBlock;

// A block of C that is summed but not yet written.
template <class T>
struct Finished {
  const float* sums = nullptr;  // (32, 32)
  T* c = nullptr;
  size_t row = 0, rows = 0;
  __mmask32 columns = 0;
};

HWY_INLINE void StoreRow(__m512 left, __m512 right, __mmask32 columns, bool add, float* c) {
  const auto left_mask = static_cast<__mmask16>(columns),
             right_mask = static_cast<__mmask16>(columns >> 16);
  if (add) {
    left = _mm512_add_ps(left, _mm512_maskz_loadu_ps(left_mask, c));
    right = _mm512_add_ps(right, _mm512_maskz_loadu_ps(right_mask, c + kTile));
  }
  _mm512_mask_storeu_ps(c, left_mask, left);
  _mm512_mask_storeu_ps(c + kTile, right_mask, right);
}

HWY_INLINE void StoreRow(__m512 left, __m512 right, __mmask32 columns, bool add, bf16* c) {
  if (add) {
    left = _mm512_add_ps(left, LoadMasked(static_cast<__mmask16>(columns), c));
    right = _mm512_add_ps(right, LoadMasked(static_cast<__mmask16>(columns >> 16), c + kTile));
  }
  const __m512bh rounded = _mm512_cvtne2ps_pbh(right, left);
  __m512i bits;
  std::memcpy(&bits, &rounded, sizeof(bits));
  _mm512_mask_storeu_epi16(c, columns, bits);
}

template <class T, bool kAdd>
HWY_INLINE void StoreRows(const Finished<T>& block, size_t begin, size_t end) {
  for (size_t r = begin; r < std::min(end, block.rows); ++r) {
    const float* sums = block.sums + r * kBlock;
    StoreRow(_mm512_load_ps(sums), _mm512_load_ps(sums + kTile), block.columns, kAdd,
             block.c + r * block.row);
  }
}

// sums (32, 32) = or += panel times strip. On the way `finished` goes to C.
template <class T, bool kAdd>
HWY_INLINE void ProductBlock(size_t steps, PanelRows a, const bf16* b, bool start, float* sums,
                             const Finished<T>& finished) {
  constexpr size_t kRowBytes = kBlock * sizeof(float);
  float* lower = sums + kTile * kBlock;
  TileBarrier();
  if (start) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, kRowBytes);
    _tile_loadd(1, sums + kTile, kRowBytes);
    _tile_loadd(2, lower, kRowBytes);
    _tile_loadd(3, lower + kTile, kRowBytes);
  }
  const size_t a_bytes = a.row * sizeof(bf16), rows_per_step = CeilDiv(kBlock, steps);
  for (size_t s = 0; s < steps; ++s) {
    const bf16* upper_a = a.data + s * a.step;
    const bf16* left_b = b + s * kStepElements;
    _tile_loadd(4, upper_a, a_bytes);
    _tile_stream_loadd(6, left_b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_stream_loadd(7, left_b + kTile * kStep, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, upper_a + kTile * a.row, a_bytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    StoreRows<T, kAdd>(finished, s * rows_per_step, (s + 1) * rows_per_step);
  }
  _tile_stored(0, sums, kRowBytes);
  _tile_stored(1, sums + kTile, kRowBytes);
  _tile_stored(2, lower, kRowBytes);
  _tile_stored(3, lower + kTile, kRowBytes);
  TileBarrier();
}

class TileGemm final : public Gemm {
 public:
  explicit TileGemm(const GemmShape& s)
      : s_(s),
        panels_(CeilDiv(s.m, kBlock)),
        strips_(CeilDiv(s.n, kBlock)),
        padded_k_(RoundUp(s.k, kStep)),
        workers_(std::min(panels_, static_cast<size_t>(Threads()))) {
    const size_t blocks = s.k <= kChunk ? 2 : std::min(panels_, kGroupPanels) * strips_;
    sums_bytes_ = blocks * kBlockElements * sizeof(float);
    worker_bytes_ = sums_bytes_ + kBlock * std::min(padded_k_, kChunk) * sizeof(bf16);
  }

  size_t packed_bytes() const override { return strips_ * StripElements() * sizeof(bf16); }
  size_t scratch_bytes() const override { return workers_ * worker_bytes_; }

  void Pack(const void* b, void* packed, void* /*scratch*/) override {
    const auto* from = static_cast<const bf16*>(b);
    auto* to = static_cast<bf16*>(packed);
    ParallelRows(strips_, StripElements(), [&](size_t begin, size_t end) {
      for (size_t strip = begin; strip < end; ++strip) {
        const size_t n = strip * kBlock, columns = s_.n - n;
        bf16* dst = to + strip * StripElements();
        if (s_.transpose_b) {
          PackTransposedStrip(from + n * s_.k, s_.k, columns, dst);
        } else {
          PackStrip(from + n, s_.n, s_.k, columns, dst);
        }
      }
    });
  }

  void Multiply(const void* a, const void* packed, void* c, void* scratch) override {
    const auto run = s_.c == Element::kFloat
                         ? (s_.add ? &TileGemm::Panels<float, true> : &TileGemm::Panels<float, false>)
                         : (s_.add ? &TileGemm::Panels<bf16, true> : &TileGemm::Panels<bf16, false>);
    const size_t workers = std::min(workers_, static_cast<size_t>(Threads()));
    ParallelFor(workers, 1, [&](size_t begin, size_t end) {
      std::byte* memory = static_cast<std::byte*>(scratch) + begin * worker_bytes_;
      (this->*run)(panels_ * begin / workers, panels_ * end / workers, static_cast<const bf16*>(a),
                   static_cast<const bf16*>(packed), c, memory);
    });
  }

 private:
  size_t StripElements() const { return kBlock * padded_k_; }

  // k [first, first + count) of a panel, where it stands if it can be read there.
  PanelRows Panel(const bf16* a, size_t panel, size_t first, size_t count, bf16* copy) const {
    const size_t row = panel * kBlock, rows = std::min(kBlock, s_.m - row);
    if (s_.transpose_a) return TransposePanel(a + first * s_.m + row, s_.m, count, rows, copy);
    const bf16* stored = a + row * s_.k + first;
    if (rows == kBlock && count % kStep == 0) return {stored, s_.k, kStep};
    CopyRows(stored, s_.k, rows, count, kBlock, copy);
    return {copy, PaddedWidth(count), kStep};
  }

  template <class T, bool kAdd>
  void Panels(size_t begin, size_t end, const bf16* a, const bf16* packed, void* c,
              std::byte* memory) const {
    auto* sums = reinterpret_cast<float*>(memory);
    auto* copy = reinterpret_cast<bf16*>(memory + sums_bytes_);
    const bool one_chunk = s_.k <= kChunk;
    const TileRegisters registers;
    for (size_t group = begin; group < end; group += kGroupPanels) {
      const size_t group_end = std::min(end, group + kGroupPanels);
      Finished<T> finished;
      size_t count = 0;  // blocks so far, of the chunk
      for (size_t k = 0; k < s_.k; k += kChunk) {
        const size_t chunk = std::min(kChunk, s_.k - k);
        const bool last = k + chunk == s_.k;
        count = 0;
        for (size_t panel = group; panel < group_end; ++panel) {
          const PanelRows rows = Panel(a, panel, k, chunk, copy);
          for (size_t strip = 0; strip < strips_; ++strip, ++count) {
            float* block = sums + (one_chunk ? count % 2 : count) * kBlockElements;
            ProductBlock<T, kAdd>(CeilDiv(chunk, kStep), rows,
                                  packed + strip * StripElements() + k * kBlock, k == 0, block,
                                  finished);
            if (last) finished = Block(static_cast<T*>(c), panel, strip, block);
          }
        }
      }
      StoreRows<T, kAdd>(finished, 0, kBlock);
    }
  }

  template <class T>
  Finished<T> Block(T* c, size_t panel, size_t strip, const float* sums) const {
    const size_t row = panel * kBlock, column = strip * kBlock;
    return {sums, c + row * s_.n + column, s_.n, std::min(kBlock, s_.m - row),
            First32(s_.n - column)};
  }

  GemmShape s_;
  size_t panels_, strips_, padded_k_, workers_;
  size_t sums_bytes_, worker_bytes_;  // of a thread's scratch: unfinished blocks; all
};

}  // namespace

std::unique_ptr<Gemm> MakeTileGemm(const GemmShape& shape) {
  GOLF_CHECK(shape.ab == Element::kBf16 && shape.m > 0 && shape.n > 0 && shape.k > 0);
  return std::make_unique<TileGemm>(shape);
}

}  // namespace golf::cpu::amx
GOLF_AMX_END

#else

namespace golf::cpu::amx {
std::unique_ptr<Gemm> MakeTileGemm(const GemmShape&) { return nullptr; }
}  // namespace golf::cpu::amx

#endif
