// The forward pass on bf16 tiles: what its two walks over the keys share (attention_amx_forward.cpp on the matrix unit,
// attention_bf16_forward.cpp on the vector units). The same walk as attention_forward.cpp, with two differences:
//   - probabilities are rounded to bf16 before they meet the values;
//   - scores count relative to a reference that a row keeps until the probabilities of one tile outgrow kSumLimit. It
//     saves looking for the greatest score, and rescaling the unfinished sums, at every tile. Each row decides for
//     itself, from its own scores.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/cpu/bf16_tiles.h"

GOLF_BF16_BEGIN
namespace golf::cpu::tiles {

inline constexpr float kSumLimit = 256.0F;  // of the probabilities of a row and a tile

// The running state of kTile query rows of one head: a column of tiles, scores being (key, row).
struct Column {
  bf16* q;             // B operand (D, rows)
  float* y;            // (D, rows), not yet divided by `sum`
  float* reference;    // (rows) scores count relative to it, in powers of two
  float* sum;          // (rows) of 2^(score - reference)
  size_t head, row;    // where the rows are in q and y
  size_t first, last;  // positions of the first and the last row
};

// A walk takes up to kColumns columns over the keys together, sharing each tile of keys while it is in the L1 cache, and
// holds the scores of kScored columns at a time.
template <class Walk>
struct Workspace {
  size_t width, steps;  // D, padded; in steps of tiles
  float factor;         // brings scores to powers of two
  bf16* rows;           // (tile keys, D): the copy that is packed
  bf16* k;              // [tile of keys][16 keys][step]: A operands
  bf16* v;              // [tile of keys][16 of D][step of keys]: A operands
  float* scores;        // [column](tile keys, rows)
  float* again;         // (tile keys, rows): scores that are needed a second time
  bf16* p;              // [column] B operands (tile keys, rows)
  Column columns[Walk::kColumns];
};

constexpr size_t ColumnBytes(size_t width) { return (6 * width + 8) * kTile; }

template <class Walk>
size_t WorkspaceBytes(AttentionDims d) {
  const size_t width = PaddedWidth(d.D);
  return (4 * RoundUp(d.T, kTileKeys) + 2 * kTileKeys) * width +
         (6 * Walk::kScored + 4) * kTileKeys * kTile + Walk::kColumns * ColumnBytes(width);
}

template <class Walk>
Workspace<Walk> Carve(void* memory, AttentionDims d) {
  std::byte* next = static_cast<std::byte*>(memory);
  const auto take = [&](auto** p, size_t n) {
    *p = reinterpret_cast<std::remove_reference_t<decltype(*p)>>(next);
    next += n * sizeof(**p);
  };
  Workspace<Walk> w{};
  w.width = PaddedWidth(d.D);
  w.steps = w.width / kStep;
  w.factor = static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(d.D)));
  take(&w.scores, Walk::kScored * kTileKeys * kTile);
  take(&w.p, Walk::kScored * kTileKeys * kTile);
  for (Column& c : w.columns) {
    take(&c.y, w.width * kTile);
    take(&c.reference, kTile);
    take(&c.sum, kTile);
    take(&c.q, w.width * kTile);
  }
  take(&w.rows, kTileKeys * w.width);
  take(&w.again, kTileKeys * kTile);
  for (bf16** p : {&w.k, &w.v}) take(p, RoundUp(d.T, kTileKeys) * w.width);
  return w;
}

// Packs keys [0, end) of the task's head.
template <class Walk>
void PackKeys(const ForwardCall<bf16>& call, ForwardTask task, size_t end,
              const Workspace<Walk>& w) {
  const AttentionDims& d = call.d;
  const size_t stride = d.K * d.D;
  for (size_t key = 0; key < end; key += kTileKeys) {
    const size_t at = (task.b * d.T + key) * stride + task.kv_head * d.D;
    const size_t loaded = std::min(kTileKeys, end - key);
    PackRows(call.k + at, stride, loaded, d.D, kTileKeys, w.k + key * w.width);
    CopyRows(call.v + at, stride, loaded, d.D, kTileKeys, w.rows);
    PackColumns(w.rows, kTileKeys, w.width, w.v + key * w.width);
  }
}

// Which keys a row may look at: key i of a tile is in the past of row r, or its present, if i <= ahead[r].
struct Horizon {
  __m512i ahead;

  Horizon(size_t tile, const Column& column) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const int first = static_cast<int>(column.first) - static_cast<int>(tile * kTileKeys);
    ahead = _mm512_add_epi32(lanes, _mm512_set1_epi32(first));
  }
  __mmask16 Past(size_t i) const {
    return _mm512_cmple_epi32_mask(_mm512_set1_epi32(static_cast<int>(i)), ahead);
  }
};

// The greatest score of each row.
inline __m512 Greatest(const float* scores, size_t keys, const Horizon& horizon) {
  __m512 top = _mm512_set1_ps(-1e30F);
  for (size_t i = 0; i < keys; ++i) {
    top = _mm512_mask_max_ps(top, horizon.Past(i), top, _mm512_load_ps(scores + i * kTile));
  }
  return top;
}

// Turns the scores of keys [i, i + 16) to 2^(factor * score - reference), in a B operand; adds them to the sums.
template <bool kMasked>
HWY_INLINE void Probabilities(const float* scores, size_t i, const Horizon& horizon, __m512 factor,
                              __m512 reference, bf16* p, __m512 (&sum)[2]) {
#pragma GCC unroll 8
  for (size_t end = i + kTile; i < end; i += 2) {
    __m512i rounded[2];
#pragma GCC unroll 2
    for (size_t j = 0; j < 2; ++j) {
      const __m512 score = _mm512_load_ps(scores + (i + j) * kTile);
      __m512 x = Exp2(_mm512_fmsub_ps(score, factor, reference));
      if constexpr (kMasked) x = _mm512_maskz_mov_ps(horizon.Past(i + j), x);
      sum[j] = _mm512_add_ps(sum[j], x);
      rounded[j] = RoundUpperHalf(x);
    }
    _mm512_store_si512(p + i * kTile, InterleaveUpperHalves(rounded[0], rounded[1]));
  }
}

// Moves the lanes `behind` to a new reference; what they have summed so far loses worth.
HWY_INLINE __m512 MoveReference(const Column& column, size_t width, __mmask16 behind, __m512 top) {
  const __m512 old = _mm512_load_ps(column.reference);
  const __m512 reference = _mm512_mask_mov_ps(old, behind, top);
  const __m512 worth = Exp2(_mm512_sub_ps(old, reference));
  _mm512_store_ps(column.reference, reference);
  _mm512_store_ps(column.sum, _mm512_mul_ps(_mm512_load_ps(column.sum), worth));
  for (size_t c = 0; c < width; ++c) {
    float* y = column.y + c * kTile;
    _mm512_store_ps(y, _mm512_mul_ps(_mm512_load_ps(y), worth));
  }
  return reference;
}

template <class Walk>
void StartColumn(const ForwardCall<bf16>& call, ForwardTask task, size_t head, size_t row,
                 const Workspace<Walk>& w, Column& column) {
  const AttentionDims& d = call.d;
  const size_t stride = d.H * d.D, rows = std::min(kTile, task.row + task.rows - row);
  column.head = head;
  column.row = row;
  column.first = call.first_row_of(task.b) + row;
  column.last = column.first + rows - 1;
  CopyRows(call.q + (task.b * d.Q + row) * stride + head * d.D, stride, rows, d.D, kTile, w.rows);
  PackTransposed(w.rows, kTile, w.width, column.q);
  std::fill(column.y, column.y + w.width * kTile, 0.0F);
  std::fill(column.reference, column.reference + kTile, -1e30F);
  std::fill(column.sum, column.sum + kTile, 0.0F);
}

inline void FinishColumn(const ForwardCall<bf16>& call, ForwardTask task, const Column& column) {
  const AttentionDims& d = call.d;
  const size_t rows = column.last + 1 - column.first;
  const size_t at = (task.b * d.Q + column.row) * d.H + column.head;
  const __m512 factor = _mm512_div_ps(_mm512_set1_ps(1.0F), _mm512_load_ps(column.sum));
  StoreColumns(column.y, factor, rows, d.D, Into::kOverwrite, d.H * d.D, call.y + at * d.D);
  if (call.lse == nullptr) return;
  for (size_t r = 0; r < rows; ++r) {
    call.lse[at + r * d.H] = 0.6931471805599453F * column.reference[r] + std::log(column.sum[r]);
  }
}

template <class Walk>
void Forward(const ForwardCall<bf16>& call, ForwardTask task, void* workspace) {
  const AttentionDims& d = call.d;
  const size_t group = d.H / d.K, count = group * CeilDiv(task.rows, kTile);
  Workspace<Walk> w = Carve<Walk>(workspace, d);
  const typename Walk::Mode mode;
  PackKeys(call, task, call.first_row_of(task.b) + task.row + task.rows, w);
  for (size_t begin = 0; begin < count; begin += Walk::kColumns) {
    const size_t columns = std::min(Walk::kColumns, count - begin);
    for (size_t i = 0; i < columns; ++i) {
      const size_t head = task.kv_head * group + (begin + i) % group;
      StartColumn(call, task, head, task.row + (begin + i) / group * kTile, w, w.columns[i]);
    }
    Walk::PassOverKeys(columns, w);
    for (size_t i = 0; i < columns; ++i) FinishColumn(call, task, w.columns[i]);
  }
}

}  // namespace golf::cpu::tiles
GOLF_BF16_END
