// Matrices of bf16 as products want them, and the copies that bring them into that shape.
//
// A tile is 16 rows of 64 bytes. A product adds to C (16 x 16 float) that of A (16 x 32 bf16) and B (32 x 16 bf16); of B
// it wants rows 2i and 2i+1 interleaved, as one row of 16 pairs: both instructions, TDPBF16PS of the matrix unit (AMX)
// and VDPBF16PS of the vector units (AVX512-BF16), multiply pairs of numbers that lie side by side. Layouts here:
//   rows    row-major bf16, the summed index contiguous: an A operand as it stands
//   pairs   [step of 32][block of 16 columns][16 pairs][16 columns][2]: a B operand, each tile one contiguous kilobyte
// Include only from files that compile on x86-64; everything is compiled for the instructions of GOLF_BF16_BEGIN.
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

#define GOLF_BF16_BEGIN \
  HWY_PUSH_ATTRIBUTES("avx,avx2,fma,f16c,bmi,bmi2,avx512f,avx512vl,avx512dq,avx512bw,avx512bf16")
#define GOLF_BF16_END HWY_POP_ATTRIBUTES

GOLF_BF16_BEGIN
namespace golf::cpu::tiles {

inline constexpr size_t kTile = 16;  // rows of a tile; columns of C
inline constexpr size_t kStep = 32;  // bf16 in a tile row: summed per instruction

inline size_t PaddedWidth(size_t width) { return RoundUp(width, kStep); }

// While this lives, the calling thread takes numbers below 1e-38 for zeros, as both instructions do: far probabilities are
// that small, and a vector unit may slow down a hundredfold for each.
class NoDenormals {
 public:
  NoDenormals() : control_(_mm_getcsr()) {
    constexpr unsigned kDenormalsAreZero = 0x40, kFlushToZero = 0x8000;
    _mm_setcsr(control_ | kDenormalsAreZero | kFlushToZero);
  }
  ~NoDenormals() { _mm_setcsr(control_); }
  NoDenormals(const NoDenormals&) = delete;
  NoDenormals& operator=(const NoDenormals&) = delete;

 private:
  unsigned control_;
};

inline constexpr size_t kOperand = kTile * kStep;  // bf16 in an A or B tile
inline constexpr size_t kSums = kTile * kTile;     // floats in a C tile

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

// B operands of src (2 * kTile, width), whose rows are summed: [16 columns]. Row i is paired with row kTile + i.
inline void PackHalves(const bf16* src, size_t width, bf16* dst) {
  for (size_t n = 0; n < width; n += kTile) {
    for (size_t i = 0; i < kTile; ++i, dst += kStep) {
      _mm512_storeu_si512(dst, PairRows(src + i * width + n, kTile * width));
    }
  }
}

// A operands of src (rows, width) with row stride src_row, whose width is summed: [16 rows][step]; the rest is zero.
inline void PackRows(const bf16* src, size_t src_row, size_t rows, size_t width, size_t padded_rows,
                     bf16* dst) {
  const size_t steps = PaddedWidth(width) / kStep;
  for (size_t r = 0; r < padded_rows; ++r, src += src_row) {
    bf16* row = dst + r / kTile * steps * kOperand + r % kTile * kStep;
    for (size_t s = 0; s < steps; ++s) {
      const size_t left = r < rows && width > s * kStep ? width - s * kStep : 0;
      const __mmask32 mask = left >= kStep ? ~0U : (1U << left) - 1;
      _mm512_storeu_si512(row + s * kOperand, _mm512_maskz_loadu_epi16(mask, src + s * kStep));
    }
  }
}

// A operands of src (rows, width) transposed, whose rows are summed: [16 columns][step]; both padded.
inline void PackColumns(const bf16* src, size_t rows, size_t width, bf16* dst) {
  for (size_t n = 0; n < width; n += kTile) {
    for (size_t k = 0; k < rows; k += kStep, dst += kOperand) {
      __m512i r[16];
      for (size_t i = 0; i < 16; ++i) r[i] = PairRows(src + (k + 2 * i) * width + n, width);
      Transpose16(r);
      for (size_t i = 0; i < 16; ++i) _mm512_storeu_si512(dst + i * kStep, r[i]);
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

// The lanes of `mask`: dst (+)= x.
HWY_INLINE void StoreVector(__m512 x, __mmask16 mask, Into into, bf16* dst) {
  if (into == Into::kAdd) x = _mm512_add_ps(x, LoadMasked(mask, dst));
  const __m256bh rounded = _mm512_cvtneps_pbh(x);
  __m256i bits;
  std::memcpy(&bits, &rounded, sizeof(bits));
  _mm256_mask_storeu_epi16(dst, mask, bits);
}

HWY_INLINE void StoreVector(__m512 x, __mmask16 mask, Into into, float* dst) {
  if (into == Into::kAdd) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, dst));
  _mm512_mask_storeu_ps(dst, mask, x);
}

// dst (rows, width), row stride dst_row, (+)= factor * src (width, 16) transposed. One factor for each of the 16 rows,
// of which the first `rows` exist.
template <class T>
void StoreColumns(const float* src, __m512 factor, size_t rows, size_t width, Into into,
                  size_t dst_row, T* dst) {
  for (size_t c = 0; c < width; c += kTile) {
    __m512i r[16];
    for (size_t i = 0; i < 16; ++i) {
      const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(src + (c + i) * kTile), factor);
      r[i] = _mm512_castps_si512(x);
    }
    Transpose16(r);
    const __mmask16 mask = FirstLanes(width - c);
#pragma GCC unroll 16
    for (size_t i = 0; i < kTile; ++i) {
      if (i < rows) StoreVector(_mm512_castsi512_ps(r[i]), mask, into, dst + i * dst_row + c);
    }
  }
}

// Float bits whose upper half is the nearest bf16 (ties away from zero; an overflow becomes infinite). One addition where
// the conversion instructions take four times as long.
HWY_INLINE __m512i RoundUpperHalf(__m512 x) {
  return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
}

// The upper halves of a and b: a[0] b[0] a[1] b[1] ...
HWY_INLINE __m512i InterleaveUpperHalves(__m512i a, __m512i b) {
  return _mm512_mask_mov_epi16(_mm512_bsrli_epi128(a, 2), 0xaaaaaaaa, b);
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

}  // namespace golf::cpu::tiles
GOLF_BF16_END
