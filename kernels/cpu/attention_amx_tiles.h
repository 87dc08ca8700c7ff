// What AMX attention is made of: products of bf16 matrices in the layouts that the tile instructions want, and the
// copies that bring matrices into those layouts.
//
// A tile is 16 rows of 64 bytes. TDPBF16PS adds to C (16 x 16 float) the product of A (16 x 32 bf16) and B (32 x 16
// bf16); of B it wants rows 2i and 2i+1 interleaved, as one row of 16 pairs. Layouts here:
//   rows    row-major bf16, the summed index contiguous: an A operand as it stands
//   pairs   [step of 32][block of 16 columns][16 pairs][16 columns][2]: a B operand, each tile one contiguous kilobyte
// Include only from files that compile on x86-64; everything is compiled for the instructions of GOLF_AMX_BEGIN.
#pragma once
#include <hwy/detect_compiler_arch.h>
#if HWY_COMPILER_GCC_ACTUAL  // gcc 12 takes the undefined operands of its own intrinsics for a mistake (bug 105593)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if HWY_COMPILER_GCC_ACTUAL
#pragma GCC diagnostic pop
#endif

#include <hwy/base.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/base/bf16.h"
#include "kernels/cpu/attention_task.h"
#include "kernels/ops.h"

#define GOLF_AMX_BEGIN                                                                         \
  HWY_PUSH_ATTRIBUTES(                                                                         \
      "avx,avx2,fma,f16c,bmi,bmi2,avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,amx-tile,amx-" \
      "bf16")
#define GOLF_AMX_END HWY_POP_ATTRIBUTES

GOLF_AMX_BEGIN
namespace golf::cpu::amx {

inline constexpr size_t kTile = 16;  // rows of a tile; columns of C
inline constexpr size_t kStep = 32;  // bf16 in a tile row: summed per instruction

inline size_t PaddedWidth(size_t width) { return RoundUp(width, kStep); }

// Compilers do not know that the tile instructions touch memory.
HWY_INLINE void TileBarrier() { asm volatile("" ::: "memory"); }

// This thread's tile registers, all eight of full size; released at the end, so that the rest of the program does not
// pay for saving them.
class TileRegisters {
 public:
  TileRegisters() {
    alignas(64) static constexpr Configuration kConfiguration{
        1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&kConfiguration);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;

 private:
  struct Configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  };
};

// What a product is added to: nothing, one number per column, what C holds.
enum class Start { kZero, kColumns, kSum };

struct RowsOperand {
  const bf16* data;
  size_t row;  // elements from row to row
};

struct PairsOperand {
  const bf16* data;
  size_t cols;  // columns it was packed with
};

// A 32 x 32 block of C = start + A B over `steps` steps. Registers: 0-3 C, 4-5 A, 6-7 B.
template <Start start>
HWY_INLINE void Product32(size_t steps, RowsOperand a, PairsOperand b, float* c, size_t c_row,
                          const float* columns) {
  float* lower = c + kTile * c_row;
  const size_t c_bytes = c_row * sizeof(float);
  if constexpr (start == Start::kZero) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else if constexpr (start == Start::kColumns) {  // stride 0: the same row 16 times
    _tile_loadd(0, columns, 0);
    _tile_loadd(1, columns + kTile, 0);
    _tile_loadd(2, columns, 0);
    _tile_loadd(3, columns + kTile, 0);
  } else {
    _tile_loadd(0, c, c_bytes);
    _tile_loadd(1, c + kTile, c_bytes);
    _tile_loadd(2, lower, c_bytes);
    _tile_loadd(3, lower + kTile, c_bytes);
  }
  const size_t a_bytes = a.row * sizeof(bf16);
  for (size_t s = 0; s < steps; ++s) {
    const bf16* upper_a = a.data + s * kStep;
    const bf16* left_b = b.data + s * kStep * b.cols;
    _tile_loadd(4, upper_a, a_bytes);
    _tile_loadd(6, left_b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, left_b + kStep * kTile, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, upper_a + kTile * a.row, a_bytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, c_bytes);
  _tile_stored(1, c + kTile, c_bytes);
  _tile_stored(2, lower, c_bytes);
  _tile_stored(3, lower + kTile, c_bytes);
}

// C (rows, 16), contiguous, = A times 16 columns of B. rows: 32 or 64.
HWY_INLINE void ProductColumn(size_t rows, size_t steps, RowsOperand a, PairsOperand b, float* c) {
  const size_t a_bytes = a.row * sizeof(bf16), below = kTile * a.row;
  _tile_zero(0);
  _tile_zero(1);
  if (rows == 64) {
    _tile_zero(2);
    _tile_zero(3);
    for (size_t s = 0; s < steps; ++s) {
      const bf16* left = a.data + s * kStep;
      _tile_loadd(4, b.data + s * kStep * b.cols, 64);
      _tile_loadd(5, left, a_bytes);
      _tile_dpbf16ps(0, 5, 4);
      _tile_loadd(6, left + below, a_bytes);
      _tile_dpbf16ps(1, 6, 4);
      _tile_loadd(7, left + 2 * below, a_bytes);
      _tile_dpbf16ps(2, 7, 4);
      _tile_loadd(5, left + 3 * below, a_bytes);
      _tile_dpbf16ps(3, 5, 4);
    }
    _tile_stored(2, c + 2 * kTile * kTile, 64);
    _tile_stored(3, c + 3 * kTile * kTile, 64);
  } else {
    for (size_t s = 0; s < steps; ++s) {
      const bf16* left = a.data + s * kStep;
      _tile_loadd(4, b.data + s * kStep * b.cols, 64);
      _tile_loadd(5, left, a_bytes);
      _tile_dpbf16ps(0, 5, 4);
      _tile_loadd(6, left + below, a_bytes);
      _tile_dpbf16ps(1, 6, 4);
    }
  }
  _tile_stored(0, c, 64);
  _tile_stored(1, c + kTile * kTile, 64);
}

// C (rows, cols) = start + A (rows, 32 * steps) B (32 * steps, cols); rows and cols are multiples of 32. Every element
// is summed in the order of the steps.
template <Start start>
HWY_INLINE void Product(size_t rows, size_t cols, size_t steps, RowsOperand a, PairsOperand b,
                        float* c, size_t c_row, const float* columns = nullptr) {
  TileBarrier();
  for (size_t m = 0; m < rows; m += 32) {
    for (size_t n = 0; n < cols; n += 32) {
      Product32<start>(steps, {a.data + m * a.row, a.row}, {b.data + n * kStep, b.cols},
                       c + m * c_row + n, c_row, columns + n);
    }
  }
  TileBarrier();
}

// Transposes a 16 x 16 matrix of 32-bit elements.
HWY_INLINE void Transpose16(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 16
  for (size_t i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < 16; i += 4) {  // r[i + j]: column j of each quarter, four rows deep
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 16
  for (size_t j = 0; j < 4; ++j) {
    t[j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);
    t[4 + j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);
    t[8 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    t[12 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
  }
#pragma GCC unroll 16
  for (size_t j = 0; j < 4; ++j) {
    r[j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0x88);
    r[8 + j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0xdd);
    r[4 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0x88);
    r[12 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0xdd);
  }
}

HWY_INLINE __m512i Load32Bits(const void* p) { return _mm512_loadu_si512(p); }

// dst (padded_rows, PaddedWidth(width)) = src (rows, width) with row stride src_row; the rest is zero.
inline void CopyRows(const bf16* HWY_RESTRICT src, size_t src_row, size_t rows, size_t width,
                     size_t padded_rows, bf16* HWY_RESTRICT dst) {
  const size_t padded = PaddedWidth(width);
  for (size_t r = 0; r < rows; ++r, src += src_row, dst += padded) {
    for (size_t c = 0; c < padded; c += kStep) {
      const size_t left = width > c ? width - c : 0;
      const __mmask32 mask = left >= kStep ? ~0U : (1U << left) - 1;
      _mm512_storeu_si512(dst + c, _mm512_maskz_loadu_epi16(mask, src + c));
    }
  }
  std::memset(dst, 0, (padded_rows - rows) * padded * sizeof(bf16));
}

// The B operand whose column n and summed index k is src[n][k]: src transposed. src (cols, width), both padded.
inline void PackTransposed(const bf16* src, size_t cols, size_t width, bf16* dst) {
  for (size_t k = 0; k < width; k += kStep) {
    for (size_t n = 0; n < cols; n += kTile, dst += kStep * kTile) {
      __m512i r[16];
      for (size_t i = 0; i < 16; ++i) r[i] = Load32Bits(src + (n + i) * width + k);
      Transpose16(r);
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(dst + i * kStep, r[i]);
    }
  }
}

HWY_INLINE __m512i Widen16(const bf16* p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// 16 columns of src's first two rows, interleaved.
HWY_INLINE __m512i PairRows(const bf16* src, size_t row) {
  return _mm512_or_si512(Widen16(src), _mm512_slli_epi32(Widen16(src + row), 16));
}

// The B operand src (rows, width) itself, rows being the summed index; both padded.
inline void PackPairs(const bf16* src, size_t rows, size_t width, bf16* dst) {
  for (size_t k = 0; k < rows; k += kStep) {
    for (size_t n = 0; n < width; n += kTile) {
      for (size_t i = 0; i < kStep; i += 2, dst += kStep) {
        _mm512_storeu_si512(dst, PairRows(src + (k + i) * width + n, width));
      }
    }
  }
}

// dst (width, rows) = src (rows, width) transposed: an A operand that sums over src's rows; both padded.
inline void TransposeRows(const bf16* src, size_t rows, size_t width, bf16* dst) {
  for (size_t n = 0; n < width; n += kTile) {
    for (size_t k = 0; k < rows; k += kStep) {
      __m512i r[16];
      for (size_t i = 0; i < 16; ++i) r[i] = PairRows(src + (k + 2 * i) * width + n, width);
      Transpose16(r);
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(dst + (n + i) * rows + k, r[i]);
    }
  }
}

// dst (cols, rows) = src (rows, cols) transposed; multiples of 16.
inline void TransposeFloats(const float* src, size_t rows, size_t cols, float* dst) {
  for (size_t m = 0; m < rows; m += kTile) {
    for (size_t n = 0; n < cols; n += kTile) {
      __m512i r[16];
      for (size_t i = 0; i < 16; ++i) r[i] = Load32Bits(src + (m + i) * cols + n);
      Transpose16(r);
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(dst + (n + i) * rows + m, r[i]);
    }
  }
}

HWY_INLINE __mmask16 FirstLanes(size_t n) {
  return n >= kTile ? __mmask16{0xffff} : static_cast<__mmask16>((1U << n) - 1);
}

HWY_INLINE __m512 LoadMasked(__mmask16 mask, const bf16* p) {
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

// dst[c] = factor * src[c], or added to it. src is padded to whole vectors.
inline void StoreRow(const float* src, float factor, size_t width, Into into, bf16* dst) {
  for (size_t c = 0; c < width; c += kTile) {
    const __mmask16 mask = FirstLanes(width - c);
    __m512 x = _mm512_mul_ps(_mm512_loadu_ps(src + c), _mm512_set1_ps(factor));
    if (into == Into::kAdd) x = _mm512_add_ps(x, LoadMasked(mask, dst + c));
    const __m256bh rounded = _mm512_cvtneps_pbh(x);
    __m256i bits;
    std::memcpy(&bits, &rounded, sizeof(bits));
    _mm256_mask_storeu_epi16(dst + c, mask, bits);
  }
}
inline void StoreRow(const float* src, float factor, size_t width, float* dst) {
  for (size_t c = 0; c < width; c += kTile) {
    const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(src + c), _mm512_set1_ps(factor));
    _mm512_mask_storeu_ps(dst + c, FirstLanes(width - c), x);
  }
}

// Float bits whose upper half is the nearest bf16 (ties away from zero; an overflow becomes infinite). One addition where
// the conversion instructions take four times as long.
HWY_INLINE __m512i RoundUpperHalf(__m512 x) {
  return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
}

// The upper halves of a and b: a[0] b[0] a[1] b[1] ...
HWY_INLINE __m512i InterleaveUpperHalves(__m512i a, __m512i b) {
  return _mm512_mask_mov_epi16(_mm512_srli_epi32(a, 16), 0xaaaaaaaa, b);
}

// The upper halves of a, then those of b.
HWY_INLINE __m512i JoinUpperHalves(__m512i a, __m512i b) {
  alignas(64) static constexpr uint16_t kOdd[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                    23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                    45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  return _mm512_permutex2var_epi16(a, _mm512_load_si512(kOdd), b);
}

// 2^x, relative error below 9e-5 (bf16 keeps 4e-3), exactly 1 at 0, exactly 0 far below. Seven instructions.
HWY_INLINE __m512 Exp2(__m512 x) {
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x)
  __m512 p = _mm512_set1_ps(7.706705525e-02F);  // least-maximum fit of 2^f on [0, 1) through (0, 1)
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.276449767e-01F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.951167897e-01F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, x);  // p * 2^floor(x)
}

}  // namespace golf::cpu::amx
GOLF_AMX_END
