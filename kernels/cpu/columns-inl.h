// Sums over rows in a fixed order, whatever the number of threads: for gradients of parameters.
#if defined(GOLF_KERNELS_CPU_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GOLF_KERNELS_CPU_COLUMNS_INL_H_
#undef GOLF_KERNELS_CPU_COLUMNS_INL_H_
#else
#define GOLF_KERNELS_CPU_COLUMNS_INL_H_
#endif
#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {

// Rows summed before they are added to the total: bounds the rounding error of long sums.
inline constexpr size_t kBlockRows = 128;

struct Block {
  size_t row_begin, row_end;
  size_t begin, end;  // columns, at most kSlab
};

// 1 / (1 + exp(-x)) of a slab's columns.
class Sigmoids {
 public:
  Sigmoids(const float* x, size_t begin, size_t end) : begin_(begin) {
    for (size_t c = begin; c < end; ++c) values_[c - begin] = Sigmoid(x[c]);
  }

  template <class Width>
  HWY_INLINE V At(size_t c, Width width) const {
    return Load(&values_[c - begin_], width);
  }

 private:
  size_t begin_;
  alignas(64) float values_[kSlab] = {};
};

// kSums running sums for every column of a block.
template <size_t kSums>
class ColumnSums {
 public:
  explicit ColumnSums(Block block) : block_(block) {
    for (auto& sums : sums_) std::fill(sums, sums + (block.end - block.begin), 0.0F);
  }

  template <class Width>
  HWY_INLINE void Add(size_t which, size_t c, V v, Width width) {
    Accumulate(v, &sums_[which][c - block_.begin], width);
  }

  HWY_INLINE void CopyTo(size_t which, float* all_columns) const {
    std::copy_n(sums_[which], block_.end - block_.begin, all_columns + block_.begin);
  }

 private:
  Block block_;
  alignas(64) float sums_[kSums][kSlab];
};

// f(block, sums) for blocks that cover (rows, columns). Threads share the rows, as they do in products; the blocks' sums
// are added to the totals in order. A total that is null is not wanted.
template <size_t kSums, class F>
HWY_INLINE void ForColumnBlocks(size_t rows, size_t columns, float* const (&totals)[kSums],
                                const F& f) {
  const size_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  auto* parts = static_cast<float*>(ThreadWorkspace(blocks * kSums * columns * sizeof(float)));
  ParallelFor(blocks, 1, [&](size_t first, size_t last) HWY_ATTR {
    for (size_t b = first; b < last; ++b)
      ForSlabs(columns, [&](size_t begin, size_t end) HWY_ATTR {
        const size_t row = b * kBlockRows;
        const Block block{row, std::min(rows, row + kBlockRows), begin, end};
        ColumnSums<kSums> sums(block);
        f(block, sums);
        for (size_t i = 0; i < kSums; ++i)
          if (totals[i] != nullptr) sums.CopyTo(i, parts + (b * kSums + i) * columns);
      });
  });
  for (size_t i = 0; i < kSums; ++i) {
    if (totals[i] == nullptr) continue;
    for (size_t b = 0; b < blocks; ++b)
      ForVectors(0, columns, [&](size_t c, auto width) HWY_ATTR {
        Accumulate(Load(parts + (b * kSums + i) * columns + c, width), totals[i] + c, width);
      });
  }
}

// Sums of all rows: f(n, sums) adds row n to kSums doubles. Rows are cut into a number of chunks that depends on
// nothing, so that the chunks can be summed in parallel and added up in order.
template <size_t kSums, class F>
HWY_INLINE void SumRowChunks(size_t rows, size_t width, float* total, const F& f) {
  constexpr size_t kChunks = 64;
  const size_t per_chunk = (rows + kChunks - 1) / kChunks;
  double sums[kChunks][kSums] = {};
  ParallelRows(kChunks, per_chunk * width, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t i = begin; i < end; ++i)
      for (size_t n = i * per_chunk; n < std::min(rows, (i + 1) * per_chunk); ++n) f(n, sums[i]);
  });
  for (size_t s = 0; s < kSums; ++s) {
    double sum = 0;
    for (size_t i = 0; i < kChunks; ++i) sum += sums[i][s];
    total[s] = static_cast<float>(sum);
  }
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
