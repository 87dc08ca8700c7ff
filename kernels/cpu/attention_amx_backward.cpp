// The backward pass on AMX tiles. The same walk as attention_backward.cpp; p and ds are rounded to bf16 before the
// products that consume them.
#include <hwy/detect_compiler_arch.h>

#if HWY_ARCH_X86_64 && defined(__linux__)
#include <algorithm>
#include <cmath>

#include "kernels/cpu/attention_amx.h"
#include "kernels/cpu/attention_amx_tiles.h"

GOLF_AMX_BEGIN
namespace golf::cpu::amx {
namespace {

// One task's buffers. Rows are kTileRows query rows of one head; keys are all keys of the task, in tiles.
struct Buffers {
  bf16 *k, *v;                     // A operands (keys, D)
  bf16* k_columns;                 // A operands (D, tile keys), tile after tile
  float *dk, *dv;                  // (keys, D)
  bf16* rows;                      // (rows, D): the copy that is packed
  bf16 *q_columns, *dy_columns;    // B operands (D, rows)
  bf16 *q, *dy;                    // B operands (rows, D)
  float* dq;                       // (D, rows)
  float* natural;                  // (rows, D)
  float *scores, *dp;              // (tile keys, rows)
  bf16 *p, *ds;                    // A operands (tile keys, rows)
  bf16* ds_columns;                // B operand (tile keys, rows)
  float *minus_lse, *minus_delta;  // (rows); lse in units of the unscaled scores
};

constexpr size_t BufferBytes(size_t keys, size_t width) {
  return 14 * keys * width + 18 * kTileRows * width + 14 * kTileKeys * kTileRows + 8 * kTileRows;
}

Buffers Carve(void* workspace, size_t keys, size_t width) {
  std::byte* memory = static_cast<std::byte*>(workspace);
  const auto take = [&](auto** p, size_t n) {
    *p = reinterpret_cast<std::remove_reference_t<decltype(*p)>>(memory);
    memory += n * sizeof(**p);
  };
  const size_t by_key = keys * width, by_row = kTileRows * width, tile = kTileKeys * kTileRows;
  Buffers b{};
  for (bf16** p : {&b.k, &b.v, &b.k_columns}) take(p, by_key);
  for (float** p : {&b.dk, &b.dv}) take(p, by_key);
  for (bf16** p : {&b.rows, &b.q_columns, &b.dy_columns, &b.q, &b.dy}) take(p, by_row);
  for (float** p : {&b.dq, &b.natural}) take(p, by_row);
  for (float** p : {&b.scores, &b.dp}) take(p, tile);
  for (bf16** p : {&b.p, &b.ds, &b.ds_columns}) take(p, tile);
  for (float** p : {&b.minus_lse, &b.minus_delta}) take(p, kTileRows);
  return b;
}

size_t WorkspaceBytes(AttentionDims d) {
  const size_t keys = std::min(kChunkKeys, RoundUp(d.T, kTileKeys));
  return BufferBytes(keys, PaddedWidth(d.D));
}

HWY_INLINE __m512i RoundTogether(__m512 low, __m512 high) {
  const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
  __m512i bits;
  std::memcpy(&bits, &both, sizeof(bits));
  return bits;
}

// scores (less lse) and dp (less delta) -> p and ds = p * dp, in bf16. `factor` brings scores to powers of two.
template <bool kMasked>
void ScoreGradient(size_t key, size_t keys, size_t row, float factor, const Buffers& b) {
  const __m512 scale = _mm512_set1_ps(factor);
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  alignas(64) static constexpr uint16_t kLowPairs[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                         37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                         11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low_pairs = _mm512_load_si512(kLowPairs);
  const __m512i high_pairs = _mm512_add_epi16(low_pairs, _mm512_set1_epi16(16));
  for (size_t r = 0; r < kTileRows; r += 2 * kTile) {
    for (size_t i = 0; i < keys; i += 2) {
      __m512i ds_rows[2];
#pragma GCC unroll 2
      for (size_t j = 0; j < 2; ++j) {
        const size_t at = (i + j) * kTileRows + r;
        __m512 p[2], ds[2];
#pragma GCC unroll 2
        for (size_t half = 0; half < 2; ++half) {
          p[half] = Exp2(_mm512_mul_ps(_mm512_load_ps(b.scores + at + half * kTile), scale));
          if constexpr (kMasked) {
            // Key i + j is in the past of row r + lane if key + i + j <= row + r + lane.
            const int ahead =
                static_cast<int>(row + r + half * kTile) - static_cast<int>(key + i + j);
            const __mmask16 past = _mm512_cmpge_epi32_mask(lanes, _mm512_set1_epi32(-ahead));
            p[half] = _mm512_maskz_mov_ps(past, p[half]);
          }
          ds[half] = _mm512_mul_ps(p[half], _mm512_load_ps(b.dp + at + half * kTile));
        }
        ds_rows[j] = RoundTogether(ds[0], ds[1]);
        _mm512_store_si512(b.p + at, RoundTogether(p[0], p[1]));
        _mm512_store_si512(b.ds + at, ds_rows[j]);
      }
      bf16* pairs = b.ds_columns + i / kStep * kStep * kTileRows + r * kStep + i % kStep * kTile;
      _mm512_store_si512(pairs, _mm512_permutex2var_epi16(ds_rows[0], low_pairs, ds_rows[1]));
      _mm512_store_si512(pairs + kStep * kTile,
                         _mm512_permutex2var_epi16(ds_rows[0], high_pairs, ds_rows[1]));
    }
  }
}

// sum of a[c] * b[c].
float Dot(const bf16* a, const bf16* b, size_t width) {
  __m512 sum = _mm512_setzero_ps();
  for (size_t c = 0; c < width; c += kTile) {
    const __mmask16 mask = FirstLanes(width - c);
    sum = _mm512_fmadd_ps(LoadMasked(mask, a + c), LoadMasked(mask, b + c), sum);
  }
  return _mm512_reduce_add_ps(sum);
}

void LoadRows(const BackwardCall<bf16>& call, size_t window, size_t head, size_t row, size_t rows,
              float factor, const Buffers& b) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D), stride = d.H * d.D;
  const size_t first = (window * d.T + row) * d.H + head;
  CopyRows(call.q + first * d.D, stride, rows, d.D, kTileRows, b.rows);
  PackTransposed(b.rows, kTileRows, width, b.q_columns);
  PackPairs(b.rows, kTileRows, width, b.q);
  CopyRows(call.dy + first * d.D, stride, rows, d.D, kTileRows, b.rows);
  PackTransposed(b.rows, kTileRows, width, b.dy_columns);
  PackPairs(b.rows, kTileRows, width, b.dy);
  std::fill(b.minus_lse, b.minus_lse + kTileRows, 0.0F);
  std::fill(b.minus_delta, b.minus_delta + kTileRows, 0.0F);
  for (size_t r = 0; r < rows; ++r) {
    const size_t at = first + r * d.H;
    b.minus_lse[r] = -1.4426950408889634F / factor * call.lse[at];
    b.minus_delta[r] = -Dot(call.dy + at * d.D, call.y + at * d.D, d.D);
  }
}

// Adds the products of one (key tile, row tile) pair. The factor 1 / sqrt(D) of dq and dk is applied when they are stored.
void AddTile(size_t width, size_t tile, size_t key, size_t keys, size_t row, float factor,
             const Buffers& b) {
  const size_t at = tile * width, steps = width / kStep, row_steps = kTileRows / kStep;
  Product<Start::kColumns>(keys, kTileRows, steps, {b.k + at, width}, {b.q_columns, kTileRows},
                           b.scores, kTileRows, b.minus_lse);
  Product<Start::kColumns>(keys, kTileRows, steps, {b.v + at, width}, {b.dy_columns, kTileRows},
                           b.dp, kTileRows, b.minus_delta);
  if (key + keys - 1 > row) {
    ScoreGradient<true>(key, keys, row, factor, b);
  } else {
    ScoreGradient<false>(key, keys, row, factor, b);
  }
  Product<Start::kSum>(keys, width, row_steps, {b.p, kTileRows}, {b.dy, width}, b.dv + at, width);
  Product<Start::kSum>(keys, width, row_steps, {b.ds, kTileRows}, {b.q, width}, b.dk + at, width);
  Product<Start::kSum>(width, kTileRows, keys / kStep, {b.k_columns + at, kTileKeys},
                       {b.ds_columns, kTileRows}, b.dq, kTileRows);
}

void StoreDq(const BackwardCall<bf16>& call, BackwardTask task, size_t head, size_t row,
             size_t rows, float scale, const Buffers& b) {
  if (call.dq.data == nullptr) return;
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D);
  TransposeFloats(b.dq, width, kTileRows, b.natural);
  for (size_t r = 0; r < rows; ++r) {
    const float* from = b.natural + r * width;
    if (call.partial_dq == nullptr) {
      StoreRow(from, scale, d.D, call.dq.into,
               call.dq.data + ((task.b * d.T + row + r) * d.H + head) * d.D);
    } else {
      float* chunk = call.partial_dq + task.b * PartialElements(d) + PartialOffset(d, task.key);
      StoreRow(from, scale, d.D, chunk + ((row + r - task.key) * d.H + head) * d.D);
    }
  }
}

void StoreKeys(AttentionDims d, BackwardTask task, const float* from, float scale, Grad<bf16> to) {
  if (to.data == nullptr) return;
  for (size_t u = 0; u < task.keys; ++u) {
    StoreRow(from + u * PaddedWidth(d.D), scale, d.D, to.into,
             to.data + ((task.b * d.T + task.key + u) * d.K + task.kv_head) * d.D);
  }
}

void Backward(const BackwardCall<bf16>& call, BackwardTask task, void* workspace) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D), group = d.H / d.K, stride = d.K * d.D;
  const size_t keys = RoundUp(task.keys, kTileKeys);
  const Buffers b = Carve(workspace, keys, width);
  const size_t from = (task.b * d.T + task.key) * stride + task.kv_head * d.D;
  CopyRows(call.k + from, stride, task.keys, d.D, keys, b.k);
  CopyRows(call.v + from, stride, task.keys, d.D, keys, b.v);
  for (size_t tile = 0; tile < keys; tile += kTileKeys) {
    TransposeRows(b.k + tile * width, kTileKeys, width, b.k_columns + tile * width);
  }
  std::fill(b.dk, b.dk + keys * width, 0.0F);
  std::fill(b.dv, b.dv + keys * width, 0.0F);
  const double root = 1.0 / std::sqrt(static_cast<double>(d.D));
  const float scale = static_cast<float>(root);
  const float factor = static_cast<float>(root * 1.4426950408889634);
  const TileRegisters registers;

  for (size_t row = task.key; row < d.T; row += kTileRows) {
    const size_t rows = std::min(kTileRows, d.T - row);
    const size_t end = std::min(task.keys, row + rows - task.key);  // keys these rows can see
    for (size_t head = task.kv_head * group; head < (task.kv_head + 1) * group; ++head) {
      LoadRows(call, task.b, head, row, rows, factor, b);
      std::fill(b.dq, b.dq + width * kTileRows, 0.0F);
      for (size_t tile = 0; tile < end; tile += kTileKeys) {
        const size_t tile_keys = RoundUp(std::min(kTileKeys, end - tile), kStep);
        AddTile(width, tile, task.key + tile, tile_keys, row, factor, b);
      }
      StoreDq(call, task, head, row, rows, scale, b);
    }
  }
  StoreKeys(d, task, b.dk, scale, call.dk);
  StoreKeys(d, task, b.dv, 1.0F, call.dv);
}

}  // namespace

void FillBackwardTasks(AttentionTasks<bf16>& tasks) {
  tasks.backward = Backward;
  tasks.backward_bytes = WorkspaceBytes;
}

}  // namespace golf::cpu::amx
GOLF_AMX_END
#endif
