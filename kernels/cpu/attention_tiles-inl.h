// Float tiles for attention, in Highway: included once per instruction set (no ordinary include guard).
//
// Scores and their kin are kept transposed, (key, query row), so that a vector holds one key's score for consecutive
// query rows: softmax needs no sum across lanes, and a row is a lane, untouched by its neighbours.
#if defined(GOLF_KERNELS_CPU_ATTENTION_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GOLF_KERNELS_CPU_ATTENTION_TILES_INL_H_
#undef GOLF_KERNELS_CPU_ATTENTION_TILES_INL_H_
#else
#define GOLF_KERNELS_CPU_ATTENTION_TILES_INL_H_
#endif

#include <cstddef>

#include "kernels/cpu/attention_task.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
// D is padded to this with zeros inside tiles: a multiple of every vector length.
inline constexpr size_t kWidthStep = 16;
inline size_t PaddedWidth(size_t width) { return RoundUp(width, kWidthStep); }

// The left factor of a product: element (m, k) is data[m * row + k * step].
struct Left {
  const float* data;
  size_t row, step;
};

// What a product is added to; `columns` holds one number per column of C.
enum class Start { kZero, kColumns, kTile, kScaledTile };

inline constexpr size_t kPanelRows = 4;

template <Start start, size_t kVectors>
HWY_INLINE void Panel(size_t steps, Left a, const float* HWY_RESTRICT b, size_t b_row,
                      float* HWY_RESTRICT c, size_t c_row, const float* HWY_RESTRICT columns) {
  const D d;
  V sum[kPanelRows][kVectors];
#pragma GCC unroll 8
  for (size_t m = 0; m < kPanelRows; ++m) {
#pragma GCC unroll 8
    for (size_t n = 0; n < kVectors; ++n) {
      if constexpr (start == Start::kZero) sum[m][n] = hn::Zero(d);
      if constexpr (start == Start::kColumns) sum[m][n] = hn::Load(d, columns + n * kLanes);
      if constexpr (start == Start::kTile) sum[m][n] = hn::Load(d, c + m * c_row + n * kLanes);
      if constexpr (start == Start::kScaledTile) {
        sum[m][n] =
            hn::Mul(hn::Load(d, c + m * c_row + n * kLanes), hn::Load(d, columns + n * kLanes));
      }
    }
  }
  for (size_t k = 0; k < steps; ++k) {
    V right[kVectors];
#pragma GCC unroll 8
    for (size_t n = 0; n < kVectors; ++n) right[n] = hn::Load(d, b + k * b_row + n * kLanes);
#pragma GCC unroll 8
    for (size_t m = 0; m < kPanelRows; ++m) {
      const V left = hn::Set(d, a.data[m * a.row + k * a.step]);
#pragma GCC unroll 8
      for (size_t n = 0; n < kVectors; ++n) sum[m][n] = hn::MulAdd(left, right[n], sum[m][n]);
    }
  }
#pragma GCC unroll 8
  for (size_t m = 0; m < kPanelRows; ++m) {
#pragma GCC unroll 8
    for (size_t n = 0; n < kVectors; ++n) hn::Store(sum[m][n], d, c + m * c_row + n * kLanes);
  }
}

// A row vector from column n on; there is none unless `start` reads it.
HWY_INLINE const float* ColumnsFrom(const float* columns, size_t n) {
  return columns == nullptr ? nullptr : columns + n;
}

// C (rows, columns) = start + A (rows, steps) B (steps, columns). rows is a multiple of kPanelRows, columns of kWidthStep.
// Every element is summed in the order of k.
template <Start start>
void TileProduct(size_t rows, size_t cols, size_t steps, Left a, const float* b, size_t b_row,
                 float* c, size_t c_row, const float* columns) {
  constexpr size_t kWide = HWY_TARGET <= HWY_AVX3 ? 4 : 2;  // vectors that fit into the registers
  for (size_t m = 0; m < rows; m += kPanelRows) {
    const Left panel{a.data + m * a.row, a.row, a.step};
    size_t n = 0;
    for (; n + kWide * kLanes <= cols; n += kWide * kLanes) {
      Panel<start, kWide>(steps, panel, b + n, b_row, c + m * c_row + n, c_row,
                          ColumnsFrom(columns, n));
    }
    for (; n < cols; n += kLanes) {
      Panel<start, 1>(steps, panel, b + n, b_row, c + m * c_row + n, c_row,
                      ColumnsFrom(columns, n));
    }
  }
}

// 2^x, relative error below 2e-7, exactly 1 at 0; inputs below -126 count as -126.
HWY_INLINE V Exp2(V x) {
  const D d;
  const hn::RebindToSigned<D> di;
  x = hn::Max(x, hn::Set(d, -126.0F));
  // Adding 1.5 * 2^23 rounds to an integer, which then sits in the low bits.
  const V magic = hn::Set(d, 12582912.0F);
  const V shifted = hn::Add(x, magic);
  const V f = hn::Sub(x, hn::Sub(shifted, magic));
  V p = hn::Set(d, 1.326472726e-03F);  // least-maximum fit of 2^f on [-1/2, 1/2] through (0, 1)
  p = hn::MulAdd(p, f, hn::Set(d, 9.671512710e-03F));
  p = hn::MulAdd(p, f, hn::Set(d, 5.550733744e-02F));
  p = hn::MulAdd(p, f, hn::Set(d, 2.402224208e-01F));
  p = hn::MulAdd(p, f, hn::Set(d, 6.931469776e-01F));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0F));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
}

// dst (padded_rows, PaddedWidth(width)) = src (rows, width) with row stride src_row, widened; the rest is zero.
template <class T>
void LoadTile(const T* HWY_RESTRICT src, size_t src_row, size_t rows, size_t width,
              size_t padded_rows, float* HWY_RESTRICT dst) {
  const size_t padded = PaddedWidth(width);
  for (size_t r = 0; r < rows; ++r, src += src_row, dst += padded) {
    size_t c = 0;
    for (; c + kLanes <= width; c += kLanes) hn::Store(Load(src + c, Full()), D(), dst + c);
    for (; c < width; ++c) dst[c] = ToFloat(src[c]);
    for (; c < padded; ++c) dst[c] = 0.0F;
  }
  std::fill(dst, dst + (padded_rows - rows) * padded, 0.0F);
}

// dst (cols, rows) = factor * src (rows, cols) transposed; both counts are multiples of 4.
HWY_INLINE void TransposeTile(const float* HWY_RESTRICT src, size_t rows, size_t cols, float factor,
                              float* HWY_RESTRICT dst) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t c = 0; c < cols; ++c) {
    for (size_t r = 0; r < rows; ++r) dst[c * rows + r] = factor * src[r * cols + c];
  }
#else
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const auto scale = hn::Set(d, factor);
  for (size_t c = 0; c < cols; c += 4) {
    for (size_t r = 0; r < rows; r += 4) {
      const float* p = src + r * cols + c;
      const auto r0 = hn::Mul(hn::Load(d, p), scale), r1 = hn::Mul(hn::Load(d, p + cols), scale);
      const auto r2 = hn::Mul(hn::Load(d, p + 2 * cols), scale);
      const auto r3 = hn::Mul(hn::Load(d, p + 3 * cols), scale);
      const auto lo01 =
          hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));  // r0[0] r1[0] r0[1] r1[1]
      const auto lo23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
      const auto hi01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
      const auto hi23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
      float* out = dst + c * rows + r;
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, lo01, lo23)), d, out);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, lo01, lo23)), d, out + rows);
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, hi01, hi23)), d, out + 2 * rows);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, hi01, hi23)), d, out + 3 * rows);
    }
  }
#endif
}

// dst[c] = factor * src[c], or added to it.
template <class T>
HWY_INLINE void StoreRow(const float* HWY_RESTRICT src, float factor, size_t width, Into into,
                         T* HWY_RESTRICT dst) {
  if (into == Into::kAdd) {
    for (size_t c = 0; c < width; ++c) dst[c] = FromFloat<T>(ToFloat(dst[c]) + src[c] * factor);
  } else {
    for (size_t c = 0; c < width; ++c) dst[c] = FromFloat<T>(src[c] * factor);
  }
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // per-target include guard
