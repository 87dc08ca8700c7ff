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

// f(block) for blocks that cover (rows, columns); one thread sees all blocks of a column, in order.
template <class F>
HWY_INLINE void ForColumnBlocks(size_t rows, size_t columns, const F& f) {
  ParallelColumns(rows, columns, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = 0; n < rows; n += kBlockRows)
      f(Block{n, std::min(rows, n + kBlockRows), begin, end});
  });
}

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

  // total (all columns) += the block's sums. Null: nobody wants it.
  HWY_INLINE void Flush(size_t which, float* total) const {
    if (total == nullptr) return;
    ForVectors(block_.begin, block_.end, [&](size_t c, auto width) HWY_ATTR {
      Accumulate(Load(&sums_[which][c - block_.begin], width), total + c, width);
    });
  }

 private:
  Block block_;
  alignas(64) float sums_[kSums][kSlab];
};

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
