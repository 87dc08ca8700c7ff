// How a product's operands are brought into tiles. Both copies give zeros for rows and columns that do not exist.
//   strip of B   [step of 32 k][2 tiles][16 pairs of k][16 columns][2]: 32 columns, each tile one contiguous kilobyte
//   panel of A   32 rows, where they stand or copied: [step of 32 k][32 rows][32 k]
#pragma once
#include "kernels/cpu/bf16_tiles.h"

GOLF_BF16_BEGIN
namespace golf::cpu::tiles {

inline constexpr size_t kBlock = 2 * kTile;              // rows of a panel, columns of a strip
inline constexpr size_t kStepElements = kBlock * kStep;  // of a strip or a copied panel

// The k of one step of 32 rows of A: row r lies at data + r * row, the next step's at data + step.
struct PanelRows {
  const bf16* data;
  size_t row, step;
};

HWY_INLINE __mmask32 First32(size_t n) { return n >= 32 ? ~0U : (1U << n) - 1; }

HWY_INLINE __m512i Load32(const bf16* p, __mmask32 columns) {
  return _mm512_maskz_loadu_epi16(columns, p);
}

// Rows 2 i and 2 i + 1 of a matrix, 32 columns from `p` on. Only `rows` rows exist.
struct RowPair {
  __m512i even, odd;
  HWY_INLINE RowPair(const bf16* p, size_t row, size_t i, size_t rows, __mmask32 columns)
      : even(2 * i < rows ? Load32(p + 2 * i * row, columns) : _mm512_setzero_si512()),
        odd(2 * i + 1 < rows ? Load32(p + (2 * i + 1) * row, columns) : _mm512_setzero_si512()) {}
};

// One step of a panel whose rows are columns of src, its k rows of src. `columns` and `k` of them exist.
inline void TransposeStep(const bf16* src, size_t row, size_t k, size_t columns, bf16* dst) {
  const __mmask32 mask = First32(columns);
  __m512i low[16], high[16];  // columns 0-3 and 4-7 of each eight
  for (size_t i = 0; i < 16; ++i) {
    const RowPair pair(src, row, i, k, mask);
    low[i] = _mm512_unpacklo_epi16(pair.even, pair.odd);
    high[i] = _mm512_unpackhi_epi16(pair.even, pair.odd);
  }
  Transpose16(low);
  Transpose16(high);
  for (size_t i = 0; i < 16; ++i) {
    const size_t column = i / 4 * 8 + i % 4;
    _mm512_storeu_si512(dst + column * kStep, low[i]);
    _mm512_storeu_si512(dst + (column + 4) * kStep, high[i]);
  }
}

// One step of a strip: 32 rows and columns of src (k, row), of which `k` and `columns` exist.
inline void PackStep(const bf16* src, size_t row, size_t k, size_t columns, bf16* dst) {
  alignas(64) static constexpr uint16_t kPairs[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                      37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                      11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i left = _mm512_load_si512(kPairs);
  const __m512i right = _mm512_add_epi16(left, _mm512_set1_epi16(16));
  const __mmask32 mask = First32(columns);
  for (size_t i = 0; i < 16; ++i) {
    const RowPair pair(src, row, i, k, mask);
    _mm512_storeu_si512(dst + i * kStep, _mm512_permutex2var_epi16(pair.even, left, pair.odd));
    _mm512_storeu_si512(dst + (16 + i) * kStep,
                        _mm512_permutex2var_epi16(pair.even, right, pair.odd));
  }
}

// One step of a strip whose columns are rows of src (columns, row), its k columns of src.
inline void PackTransposedStep(const bf16* src, size_t row, size_t k, size_t columns, bf16* dst) {
  const __mmask32 mask = First32(k);
  for (size_t tile = 0; tile < kBlock; tile += kTile, dst += kTile * kStep) {
    __m512i r[16];
    for (size_t i = 0; i < kTile; ++i) {
      r[i] = tile + i < columns ? Load32(src + (tile + i) * row, mask) : _mm512_setzero_si512();
    }
    Transpose16(r);
    for (size_t i = 0; i < kTile; ++i) _mm512_storeu_si512(dst + i * kStep, r[i]);
  }
}

}  // namespace golf::cpu::tiles
GOLF_BF16_END
