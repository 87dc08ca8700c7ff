// A product is cut into panels of 32 rows of A and strips of 32 columns of B. A panel stays in the L1 cache while the
// strips stream past it. On a matrix unit, streaming loads leave the panel where it is, and the vector units bring the
// block before into C while the matrix unit works on the next: neither waits for the other.
//
// Strips are taken in slices, panels in groups and k in chunks, such that a slice's chunk of B and the unfinished blocks
// of a group stay in the L2 cache. Where A has to be turned, that happens chunk by chunk, and C collects the chunks. The
// order of an element's sum depends on k alone: not on the threads, nor on the other rows.
#include "kernels/cpu/gemm_bf16.h"

#include <hwy/detect_compiler_arch.h>

#if HWY_ARCH_X86_64 && defined(__linux__)
#include <algorithm>

#include "kernels/base/check.h"
#include "kernels/cpu/gemm_bf16_operands.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile_units.h"
#include "kernels/threads.h"

GOLF_UNITS_BEGIN
namespace golf::cpu::tiles {
namespace {

constexpr size_t kChunk = 512;  // of k
constexpr size_t kChunkSteps = kChunk / kStep;
constexpr size_t kGroupPanels = 8;
constexpr size_t kSliceStrips = 16;
constexpr size_t kBlockElements = kBlock * kBlock;

// A block of C: its sums, and where they go in the end.
template <class T>
struct Block {
  float* sums = nullptr;  // (32, 32)
  T* c = nullptr;
  size_t row = 0, rows = 0;  // none while sums are unfinished
  __mmask32 columns = 0;
  bool add = false;
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

template <class T>
HWY_INLINE void StoreRows(const Block<T>& block, size_t begin, size_t end) {
  for (size_t r = begin; r < std::min(end, block.rows); ++r) {
    const float* sums = block.sums + r * kBlock;
    StoreRow(_mm512_load_ps(sums), _mm512_load_ps(sums + kTile), block.columns, block.add,
             block.c + r * block.row);
  }
}

// Two rows of A that are needed soon, each of kChunk elements; null: none.
struct Ahead {
  const bf16* rows = nullptr;
  size_t row = 0;
};

HWY_INLINE void Prefetch(Ahead ahead, size_t step) {
  constexpr size_t kLine = 64 / sizeof(bf16), kLines = 2, kSteps = kChunk / (kLine * kLines);
  const bf16* p = ahead.rows + step / kSteps * ahead.row + step % kSteps * (kLine * kLines);
  for (size_t line = 0; line < kLines; ++line)
    _mm_prefetch(reinterpret_cast<const char*>(p + line * kLine), _MM_HINT_T1);
}

// Brings the memory of rows [begin, end) of C into the cache, to be written.
template <class T>
HWY_INLINE void PrefetchRows(const Block<T>& block, size_t begin, size_t end) {
  for (size_t r = begin; r < std::min(end, block.rows); ++r) {
    __builtin_prefetch(block.c + r * block.row, 1);
    if constexpr (sizeof(T) == sizeof(float))
      __builtin_prefetch(block.c + r * block.row + kTile, 1);
  }
}

// block.sums = or += panel times strip. On the way the block `before` goes to C, and what is needed next is fetched.
template <class T>
HWY_INLINE void ProductBlock(MatrixUnit /*unit*/, size_t steps, PanelRows a, const bf16* b,
                             bool start, const Block<T>& block, const Block<T>& before,
                             Ahead ahead) {
  constexpr size_t kRowBytes = kBlock * sizeof(float);
  float* sums = block.sums;
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
    StoreRows(before, s * rows_per_step, (s + 1) * rows_per_step);
    PrefetchRows(block, s * rows_per_step, (s + 1) * rows_per_step);
    if (ahead.rows != nullptr) Prefetch(ahead, s);
  }
  _tile_stored(0, sums, kRowBytes);
  _tile_stored(1, sums + kTile, kRowBytes);
  _tile_stored(2, lower, kRowBytes);
  _tile_stored(3, lower + kTile, kRowBytes);
  TileBarrier();
}

// The same. The processor itself looks far enough ahead to do several things at a time.
template <class T>
HWY_INLINE void ProductBlock(VectorUnit /*unit*/, size_t steps, PanelRows a, const bf16* b,
                             bool start, const Block<T>& block, const Block<T>& before,
                             Ahead /*ahead*/) {
  constexpr size_t kRows = VectorUnit::kRows;
  for (size_t row = 0; row < kBlock; row += kRows) {
    PrefetchRows(block, row, row + kRows);
    float* sums = block.sums + row * kBlock;
    __m512 sum[kRows][2];
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      sum[r][0] = start ? _mm512_setzero_ps() : _mm512_load_ps(sums + r * kBlock);
      sum[r][1] = start ? _mm512_setzero_ps() : _mm512_load_ps(sums + r * kBlock + kTile);
    }
    for (size_t s = 0; s < steps; ++s) {
      const bf16* left = b + s * kStepElements;
      VectorUnit::MultiplyStep(a.data + row * a.row + s * a.step, a.row, left, left + kOperand,
                               sum);
    }
    StoreRows(before, row, row + kRows);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      _mm512_store_ps(sums + r * kBlock, sum[r][0]);
      _mm512_store_ps(sums + r * kBlock + kTile, sum[r][1]);
    }
  }
}

template <class TileUnit>
class TileGemm final : public Gemm {
 public:
  explicit TileGemm(const GemmShape& s)
      : s_(s),
        panels_(CeilDiv(s.m, kBlock)),
        strips_(CeilDiv(s.n, kBlock)),
        steps_(CeilDiv(s.k, kStep)),
        workers_(std::min(panels_, static_cast<size_t>(Threads()))) {
    const size_t panel_bytes = ChunkElements() * sizeof(bf16);
    const size_t blocks = s.transpose_a || s.k <= kChunk
                              ? 2
                              : std::min(panels_, kGroupPanels) * std::min(strips_, kSliceStrips);
    turned_bytes_ = s.transpose_a ? panels_ * panel_bytes : 0;
    sums_bytes_ = blocks * kBlockElements * sizeof(float);
    worker_bytes_ = sums_bytes_ + panel_bytes;
  }

  size_t packed_bytes() const override { return strips_ * steps_ * kStepElements * sizeof(bf16); }
  size_t scratch_bytes() const override { return turned_bytes_ + workers_ * worker_bytes_; }

  void Pack(const void* b, void* packed, void* /*scratch*/) override {
    const auto* from = static_cast<const bf16*>(b);
    auto* to = static_cast<bf16*>(packed);
    // Memory is read in the order in which it lies.
    ParallelRows(steps_, s_.n * kStep, [&](size_t begin, size_t end) {
      for (size_t step = begin; step < end; ++step) {
        for (size_t strip = 0; strip < strips_; ++strip) PackOne(from, step, strip, to);
      }
    });
  }

  void Multiply(const void* a, const void* packed, void* c, void* scratch) override {
    const size_t workers = std::min(workers_, static_cast<size_t>(Threads()));
    auto* memory = static_cast<std::byte*>(scratch);
    ParallelFor(workers, 1, [&](size_t worker, size_t end) {
      std::byte* own = memory + turned_bytes_ + worker * worker_bytes_;
      const Share share{panels_ * worker / workers,
                        panels_ * end / workers,
                        static_cast<const bf16*>(a),
                        static_cast<const bf16*>(packed),
                        reinterpret_cast<bf16*>(memory),
                        reinterpret_cast<float*>(own),
                        reinterpret_cast<bf16*>(own + sums_bytes_)};
      const typename TileUnit::Mode mode;
      if (s_.transpose_a) {
        Turned(share, static_cast<float*>(c));
      } else if (s_.c == Element::kFloat) {
        Parts(share, 0, s_.k, s_.add, static_cast<float*>(c));
      } else {
        Parts(share, 0, s_.k, s_.add, static_cast<bf16*>(c));
      }
    });
  }

 private:
  // A thread's share of a call.
  struct Share {
    size_t panel, panel_end;
    const bf16* a;
    const bf16* packed;
    bf16* turned;  // the current chunk of all panels, where A is transposed
    float* sums;
    bf16* copy;  // of one panel
  };
  // A part of C, and the part of k that it is to be summed over.
  struct Part {
    size_t panel, panel_end, strip, strip_end, k, k_end;
    bool add;
  };

  void PackOne(const bf16* b, size_t step, size_t strip, bf16* packed) const {
    const size_t n = strip * kBlock, k = step * kStep;
    bf16* dst = packed + (strip * steps_ + step) * kStepElements;
    if (s_.transpose_b) {
      PackTransposedStep(b + n * s_.k + k, s_.k, s_.k - k, s_.n - n, dst);
    } else {
      PackStep(b + k * s_.n + n, s_.n, s_.k - k, s_.n - n, dst);
    }
  }

  // A panel's place for its current chunk. The same for a shorter last chunk: threads reach that one at different times.
  size_t ChunkElements() const { return std::min(steps_, kChunkSteps) * kStepElements; }
  size_t ChunkEnd(size_t k) const { return std::min(s_.k, k + kChunk); }

  void Turned(const Share& share, float* c) const {
    for (size_t k = 0; k < s_.k; k += kChunk) {
      Turn(share, k, ChunkEnd(k));
      Parts(share, k, ChunkEnd(k), s_.add || k > 0, c);
    }
  }

  // k [begin, end) of the share's panels of A, which is stored (k, m).
  void Turn(const Share& share, size_t begin, size_t end) const {
    const size_t steps = CeilDiv(end - begin, kStep);
    for (size_t step = 0; step < steps; ++step) {
      const size_t k = begin + step * kStep;
      for (size_t panel = share.panel; panel < share.panel_end; ++panel) {
        const size_t m = panel * kBlock;
        TransposeStep(share.a + k * s_.m + m, s_.m, s_.k - k, s_.m - m,
                      share.turned + panel * ChunkElements() + step * kStepElements);
      }
    }
  }

  // All of the share's blocks of C.
  template <class T>
  void Parts(const Share& share, size_t k, size_t k_end, bool add, T* c) const {
    for (size_t strip = 0; strip < strips_; strip += kSliceStrips) {
      for (size_t panel = share.panel; panel < share.panel_end; panel += kGroupPanels) {
        Sum(share,
            {panel, std::min(share.panel_end, panel + kGroupPanels), strip,
             std::min(strips_, strip + kSliceStrips), k, k_end, add},
            c);
      }
    }
  }

  template <class T>
  void Sum(const Share& share, const Part& part, T* c) const {
    const bool one_chunk = part.k_end - part.k <= kChunk;
    Block<T> before;
    for (size_t k = part.k; k < part.k_end; k += kChunk) {
      const bool last = k + kChunk >= part.k_end;
      size_t count = 0;  // blocks so far; those of a single chunk take two places in turn
      for (size_t panel = part.panel; panel < part.panel_end; ++panel) {
        const PanelRows rows = Panel(share, panel, k);
        for (size_t strip = part.strip; strip < part.strip_end; ++strip, ++count) {
          Block<T> block = BlockOf(panel, strip, part.add, c);
          block.sums = share.sums + (one_chunk ? count % 2 : count) * kBlockElements;
          if (!last) block.rows = 0;
          const bf16* b = share.packed + (strip * steps_ + k / kStep) * kStepElements;
          ProductBlock(TileUnit(), CeilDiv(ChunkEnd(k) - k, kStep), rows, b, k == part.k, block,
                       before, NextRows(share, panel + 1, k, strip - part.strip));
          before = block;
        }
      }
    }
    StoreRows(before, 0, kBlock);
  }

  // The chunk at k of a panel: turned, or where it stands if it can be read there, or copied.
  PanelRows Panel(const Share& share, size_t panel, size_t k) const {
    const size_t count = ChunkEnd(k) - k;
    if (s_.transpose_a) {
      return {share.turned + panel * ChunkElements(), kStep, kStepElements};
    }
    const size_t row = panel * kBlock, rows = std::min(kBlock, s_.m - row);
    const bf16* stored = share.a + row * s_.k + k;
    if (rows == kBlock && count % kStep == 0) return {stored, s_.k, kStep};
    CopyRows(stored, s_.k, rows, count, kBlock, share.copy);
    return {share.copy, PaddedWidth(count), kStep};
  }

  // Rows of the next panel to ask for while the strip is multiplied: two, so that the panel is there after 16 strips.
  Ahead NextRows(const Share& share, size_t panel, size_t k, size_t strip) const {
    const size_t row = panel * kBlock + 2 * strip;
    const bool wanted = !s_.transpose_a && panel < share.panel_end && 2 * strip < kBlock &&
                        k + kChunk <= s_.k && row + 2 <= s_.m;
    return wanted ? Ahead{share.a + row * s_.k + k, s_.k} : Ahead{};
  }

  template <class T>
  Block<T> BlockOf(size_t panel, size_t strip, bool add, T* c) const {
    const size_t row = panel * kBlock, column = strip * kBlock;
    return {nullptr,
            c + row * s_.n + column,
            s_.n,
            std::min(kBlock, s_.m - row),
            First32(s_.n - column),
            add};
  }

  GemmShape s_;
  size_t panels_, strips_, steps_, workers_;
  // Scratch: a chunk of all panels of a transposed A; then for each thread unfinished blocks, and a copied panel.
  size_t turned_bytes_, sums_bytes_, worker_bytes_;
};

template <class TileUnit>
std::unique_ptr<Gemm> Make(const GemmShape& shape) {
  GOLF_CHECK(shape.ab == Element::kBf16 && shape.m > 0 && shape.n > 0 && shape.k > 0);
  GOLF_CHECK(!shape.transpose_a || shape.c == Element::kFloat);  // C collects chunks of k
  return std::make_unique<TileGemm<TileUnit>>(shape);
}

}  // namespace
}  // namespace golf::cpu::tiles

namespace golf::cpu {

std::unique_ptr<Gemm> MakeMatrixUnitGemm(const GemmShape& shape) {
  return tiles::Make<tiles::MatrixUnit>(shape);
}

std::unique_ptr<Gemm> MakeVectorUnitGemm(const GemmShape& shape) {
  return tiles::Make<tiles::VectorUnit>(shape);
}

}  // namespace golf::cpu
GOLF_UNITS_END

#else

namespace golf::cpu {
std::unique_ptr<Gemm> MakeMatrixUnitGemm(const GemmShape&) { return nullptr; }
std::unique_ptr<Gemm> MakeVectorUnitGemm(const GemmShape&) { return nullptr; }
}  // namespace golf::cpu

#endif
