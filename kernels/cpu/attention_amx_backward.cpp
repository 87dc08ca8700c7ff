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

// Scores are made and used up in pieces of 32 keys by 32 rows: what the vector units read, they find in the L1 cache.
constexpr size_t kPiece = 2 * kTile;

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
  float *scores[2], *dp[2];        // (kPiece, kPiece), for alternate pieces
  bf16 *p, *ds;                    // A operands (tile keys, rows)
  bf16* ds_columns;                // B operand (tile keys, rows)
  float *minus_lse, *minus_delta;  // (rows); lse in units of the unscaled scores
};

constexpr size_t BufferBytes(size_t keys, size_t width) {
  return 14 * keys * width + 18 * kTileRows * width + 6 * kTileKeys * kTileRows +
         16 * kPiece * kPiece + 8 * kTileRows;
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
  for (float** p : {&b.scores[0], &b.scores[1], &b.dp[0], &b.dp[1]}) take(p, kPiece * kPiece);
  for (bf16** p : {&b.p, &b.ds, &b.ds_columns}) take(p, tile);
  for (float** p : {&b.minus_lse, &b.minus_delta}) take(p, kTileRows);
  return b;
}

size_t WorkspaceBytes(AttentionDims d) {
  const size_t keys = std::min(kChunkKeys, RoundUp(d.T, kTileKeys));
  return BufferBytes(keys, PaddedWidth(d.D));
}

// A piece of a pair of tiles.
struct Piece {
  size_t i, r;    // its first key and row, counted from the tiles'
  size_t parity;  // which buffers hold its scores
  int ahead;      // key i + j is in the past of row r + l, or its present, if j <= l + ahead
};

// scores (less lse) and dp (less delta) -> p and ds = p * dp, in bf16. `factor` brings scores to powers of two.
template <bool kMasked>
void ScoreGradient(const Piece& piece, float factor, const Buffers& b) {
  const __m512 scale = _mm512_set1_ps(factor);
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i ahead = _mm512_add_epi32(lanes, _mm512_set1_epi32(piece.ahead));
  for (size_t i = 0; i < kPiece; i += 2) {
    const size_t at = (piece.i + i) * kTileRows + piece.r;
    __m512i ds[2][2];  // [key][half the rows]
#pragma GCC unroll 2
    for (size_t j = 0; j < 2; ++j) {
      __m512i p[2];
#pragma GCC unroll 2
      for (size_t half = 0; half < 2; ++half) {
        const size_t from = (i + j) * kPiece + half * kTile;
        const __m512 score = _mm512_load_ps(b.scores[piece.parity] + from);
        __m512 x = Exp2(_mm512_mul_ps(score, scale));
        if constexpr (kMasked) {
          const int key = static_cast<int>(i + j) - static_cast<int>(half * kTile);
          x = _mm512_maskz_mov_ps(_mm512_cmple_epi32_mask(_mm512_set1_epi32(key), ahead), x);
        }
        const __m512 dp = _mm512_load_ps(b.dp[piece.parity] + from);
        p[half] = RoundUpperHalf(x);
        ds[j][half] = RoundUpperHalf(_mm512_mul_ps(x, dp));
      }
      _mm512_store_si512(b.p + at + j * kTileRows, JoinUpperHalves(p[0], p[1]));
      _mm512_store_si512(b.ds + at + j * kTileRows, JoinUpperHalves(ds[j][0], ds[j][1]));
    }
    bf16* pairs = b.ds_columns + piece.i * kTileRows + piece.r * kStep + i * kTile;
    _mm512_store_si512(pairs, InterleaveUpperHalves(ds[0][0], ds[1][0]));
    _mm512_store_si512(pairs + kStep * kTile, InterleaveUpperHalves(ds[0][1], ds[1][1]));
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

// scores and dp of a piece, `at` elements into k and v.
HWY_INLINE void MultiplyPiece(const Piece& piece, size_t at, size_t width, const Buffers& b) {
  const size_t k = at + piece.i * width, q = piece.r * kStep, steps = width / kStep;
  Product32<Start::kColumns>(steps, {b.k + k, width}, {b.q_columns + q, kTileRows},
                             b.scores[piece.parity], kPiece, b.minus_lse + piece.r);
  Product32<Start::kColumns>(steps, {b.v + k, width}, {b.dy_columns + q, kTileRows},
                             b.dp[piece.parity], kPiece, b.minus_delta + piece.r);
}

// Adds the products of one (key tile, row tile) pair, positions (key, row); `keys` of the tile, a multiple of kPiece,
// concern the rows. The factor 1 / sqrt(D) of dq and dk is applied when they are stored.
void AddTile(size_t width, size_t tile, size_t key, size_t keys, size_t row, float factor,
             const Buffers& b) {
  const size_t at = tile * width, row_steps = kTileRows / kStep;
  const size_t across = kTileRows / kPiece, pieces = keys / kPiece * across;
  const auto piece_at = [&](size_t n) {
    const size_t i = n / across * kPiece, r = n % across * kPiece;
    return Piece{i, r, n % 2, static_cast<int>(row + r) - static_cast<int>(key + i)};
  };
  MultiplyPiece(piece_at(0), at, width, b);
  for (size_t n = 0; n < pieces; ++n) {
    if (n + 1 < pieces) MultiplyPiece(piece_at(n + 1), at, width, b);
    TileBarrier();
    const Piece piece = piece_at(n);
    if (piece.ahead < static_cast<int>(kPiece) - 1) {
      ScoreGradient<true>(piece, factor, b);
    } else {
      ScoreGradient<false>(piece, factor, b);
    }
    TileBarrier();
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
