// The backward pass on bf16 tiles, by the matrix unit or the vector units. The same walk as attention_backward.cpp; p and ds
// are rounded to bf16 before the products that consume them.
#include <hwy/detect_compiler_arch.h>

#include "kernels/cpu/attention_task.h"

#if HWY_ARCH_X86_64 && defined(__linux__)
#include <algorithm>
#include <cmath>

#include "kernels/cpu/tile_units.h"

GOLF_UNITS_BEGIN
namespace golf::cpu::tiles {
namespace {

// Scores are made and used up in pieces of 32 keys by 32 rows: what the vector units read, they find in the L1 cache.
constexpr size_t kPiece = 2 * kTile;
// Pieces of rows that pass over the keys together: sums over rows then read and write dk and dv less often.
constexpr size_t kUnits = 4;

// kPiece query rows of one head.
struct Unit {
  bf16 *q_columns, *dy_columns;  // B operands (D, rows): [16 rows][step]
  float* dq;                     // (D, rows): [16 rows][16 of D]
  float *lse, *minus_delta;      // (rows); lse in powers of two
  size_t head, row, rows;        // where the rows are
};

struct Buffers {
  size_t width, steps;       // D, padded; in steps of tiles
  float scale, factor;       // of scores; so that they count in powers of two
  bf16* copy;                // (tile keys, D): what is packed
  bf16 *k, *v;               // A operands (keys, D): [16 keys][step]
  bf16* k_columns;           // A operands (D, tile keys): [tile][16 of D][step]
  float *dk, *dv;            // (keys, D): [16 keys][16 of D]
  bf16 *q, *dy;              // B operands (rows, D): [unit][16 of D]
  float *scores[2], *dp[2];  // pieces [16 keys][16 rows], alternating
  bf16 *p, *ds;              // A operands (tile keys, rows): [16 keys][unit]
  bf16* ds_columns[2];       // B operand (tile keys, rows of a unit): [16 rows][step], alternating
  Unit units[kUnits];
};

template <class F>
void ForBuffers(Buffers& b, size_t keys, const F& take) {
  const size_t by_key = keys * b.width, unit = kPiece * b.width, tile = kTileKeys * kPiece;
  for (float** p : {&b.scores[0], &b.scores[1], &b.dp[0], &b.dp[1]}) take(p, kPiece * kPiece);
  for (bf16** p : {&b.ds_columns[0], &b.ds_columns[1]}) take(p, tile);
  for (bf16** p : {&b.p, &b.ds}) take(p, kUnits * tile);
  for (Unit& u : b.units) {
    for (bf16** p : {&u.q_columns, &u.dy_columns}) take(p, unit);
    take(&u.dq, unit);
    for (float** p : {&u.lse, &u.minus_delta}) take(p, kPiece);
  }
  for (bf16** p : {&b.q, &b.dy}) take(p, kUnits * unit);
  for (bf16** p : {&b.k, &b.v, &b.k_columns}) take(p, by_key);
  for (float** p : {&b.dk, &b.dv}) take(p, by_key);
  take(&b.copy, kTileKeys * b.width);
}

Buffers Carve(AttentionDims d, size_t keys, void* workspace) {
  std::byte* next = static_cast<std::byte*>(workspace);
  Buffers b{};
  b.width = PaddedWidth(d.D);
  b.steps = b.width / kStep;
  const double root = 1.0 / std::sqrt(static_cast<double>(d.D));
  b.scale = static_cast<float>(root);
  b.factor = static_cast<float>(root * 1.4426950408889634);
  ForBuffers(b, keys, [&](auto** p, size_t n) {
    *p = reinterpret_cast<std::remove_reference_t<decltype(*p)>>(next);
    next += n * sizeof(**p);
  });
  return b;
}

size_t WorkspaceBytes(AttentionDims d) {
  size_t bytes = 0;
  Buffers b{};
  b.width = PaddedWidth(d.D);
  ForBuffers(b, std::min(kChunkKeys, RoundUp(d.T, kTileKeys)),
             [&](auto** p, size_t n) { bytes += n * sizeof(**p); });
  return bytes;
}

// The piece of keys [key, key + kPiece) of a tile, and a unit.
struct Piece {
  size_t unit, tile, key;
};

// scores -> p, dp (less delta) -> ds = p * dp, in bf16; `ahead`: key i is in the past of row r, or its present, if
// i <= r + ahead. Between every kTurn keys the matrix unit is given something to do.
template <bool kMasked, class F>
HWY_INLINE void ScoreGradient(const Piece& piece, size_t parity, int ahead, const Buffers& b,
                              const F& turn) {
  constexpr size_t kTurn = 8;
  const Unit& unit = b.units[piece.unit];
  const __m512 factor = _mm512_set1_ps(b.factor);
  const __m512 lse[2] = {_mm512_load_ps(unit.lse), _mm512_load_ps(unit.lse + kTile)};
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i horizon = _mm512_add_epi32(lanes, _mm512_set1_epi32(ahead));
  for (size_t first = 0; first < kPiece; first += kTurn) {
    turn(first / kTurn);
    TileBarrier();
    const size_t from = first / kTile * 2 * kSums + first % kTile * kTile;
    const float *scores = b.scores[parity] + from, *dps = b.dp[parity] + from;
    const size_t key = piece.key + first;
    const size_t row = (key / kTile * kUnits + piece.unit) * kOperand + key % kTile * kStep;
    bf16* ds_columns = b.ds_columns[piece.unit % 2] + piece.key / kStep * kOperand + first * kTile;
#pragma GCC unroll 4
    for (size_t i = 0; i < kTurn; i += 2) {
      __m512i ds[2][2];  // [key][half the rows]
#pragma GCC unroll 2
      for (size_t j = 0; j < 2; ++j) {
        __m512i p[2];
#pragma GCC unroll 2
        for (size_t half = 0; half < 2; ++half) {
          const size_t at = half * kSums + (i + j) * kTile;
          __m512 x = Exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + at), factor, lse[half]));
          if constexpr (kMasked) {
            const int k = static_cast<int>(first + i + j) - static_cast<int>(half * kTile);
            x = _mm512_maskz_mov_ps(_mm512_cmple_epi32_mask(_mm512_set1_epi32(k), horizon), x);
          }
          p[half] = RoundUpperHalf(x);
          ds[j][half] = RoundUpperHalf(_mm512_mul_ps(x, _mm512_load_ps(dps + at)));
        }
        _mm512_store_si512(b.p + row + (i + j) * kStep, InterleaveUpperHalves(p[0], p[1]));
        _mm512_store_si512(b.ds + row + (i + j) * kStep, InterleaveUpperHalves(ds[j][0], ds[j][1]));
      }
      _mm512_store_si512(ds_columns + i * kTile, InterleaveUpperHalves(ds[0][0], ds[1][0]));
      _mm512_store_si512(ds_columns + 2 * kOperand + i * kTile,
                         InterleaveUpperHalves(ds[0][1], ds[1][1]));
    }
    TileBarrier();
  }
}

// scores of a piece, then dp less delta.
template <class TileUnit>
HWY_INLINE void MultiplyScores(const Piece& piece, size_t parity, const Buffers& b) {
  const size_t key = (piece.tile * kTileKeys + piece.key) * b.width, row = b.steps * kOperand;
  const Unit& unit = b.units[piece.unit];
  TileUnit::template Product2x2<Start::kZero>(b.steps, {b.k + key, row, kOperand},
                                              {unit.q_columns, row, kOperand},
                                              {b.scores[parity], 2 * kSums, kSums});
}
template <class TileUnit>
HWY_INLINE void MultiplyDp(const Piece& piece, size_t parity, const Buffers& b) {
  const size_t key = (piece.tile * kTileKeys + piece.key) * b.width, row = b.steps * kOperand;
  const Unit& unit = b.units[piece.unit];
  TileUnit::template Product2x2<Start::kColumns>(
      b.steps, {b.v + key, row, kOperand}, {unit.dy_columns, row, kOperand},
      {b.dp[parity], 2 * kSums, kSums}, unit.minus_delta);
}

// Adds the tile's part to 32 of a unit's width of dq.
template <class TileUnit>
HWY_INLINE void AddDq(size_t unit, size_t tile, size_t c, const Buffers& b) {
  constexpr size_t kRun = kTileKeys / kStep * kOperand;
  TileUnit::template Product2x2<Start::kSum>(
      kTileKeys / kStep,
      {b.k_columns + tile * kTileKeys * b.width + c / kTile * kRun, kRun, kOperand},
      {b.ds_columns[unit % 2], kRun, kOperand},
      {b.units[unit].dq + c * kTile, kSums, kTile * b.width});
}

// Adds what the units from `first` on give to a tile of dk (from ds and q) or dv (from p and dy).
template <class TileUnit>
void AddKeySums(size_t first, size_t units, const bf16* a, const bf16* rows, float* sums,
                const Buffers& b) {
  const size_t across = b.width / kTile;
  for (size_t i = 0; i < kTileKeys / kTile; i += 2) {
    for (size_t c = 0; c < across; c += 2) {
      TileUnit::template Product2x2<Start::kSum>(
          units - first, {a + (i * kUnits + first) * kOperand, kUnits * kOperand, kOperand},
          {rows + (first * across + c) * kOperand, kOperand, across * kOperand},
          {sums + (i * across + c) * kSums, across * kSums, kSums});
    }
  }
}

// Adds all products of one tile of keys, the first at position `key`, and `units` units.
template <class TileUnit>
void AddTile(size_t tile, size_t key, size_t units, const Buffers& b) {
  size_t first = 0;
  while (b.units[first].row + kPiece <= key) ++first;  // the tile is in these rows' future
  constexpr size_t kHalves = kTileKeys / kPiece;
  const size_t pieces = (units - first) * kHalves;
  const auto piece_at = [&](size_t n) {
    return Piece{first + n / kHalves, tile, n % kHalves * kPiece};
  };
  TileBarrier();
  MultiplyScores<TileUnit>(piece_at(0), 0, b);
  MultiplyDp<TileUnit>(piece_at(0), 0, b);
  for (size_t n = 0; n < pieces; ++n) {
    const Piece piece = piece_at(n), next = piece_at(n + 1);
    // What the matrix unit does meanwhile: the next piece's scores, and half of what the previous unit adds to dq.
    const auto turn = [&](size_t i) {
      if (i == 0 && n + 1 < pieces) MultiplyScores<TileUnit>(next, (n + 1) % 2, b);
      if (i == 2 && n + 1 < pieces) MultiplyDp<TileUnit>(next, (n + 1) % 2, b);
      if (n < kHalves || i % 2 == 0) return;
      const size_t blocks = b.width / kStep, part = n % kHalves * 2 + i / 2;
      for (size_t c = blocks * part / 4; c < blocks * (part + 1) / 4; ++c) {
        AddDq<TileUnit>(piece.unit - 1, tile, c * kStep, b);
      }
    };
    const int ahead = static_cast<int>(b.units[piece.unit].row) - static_cast<int>(key + piece.key);
    if (ahead < static_cast<int>(kPiece) - 1) {
      ScoreGradient<true>(piece, n % 2, ahead, b, turn);
    } else {
      ScoreGradient<false>(piece, n % 2, ahead, b, turn);
    }
  }
  for (size_t c = 0; c < b.width; c += kStep) AddDq<TileUnit>(units - 1, tile, c, b);
  const size_t at = tile * kTileKeys * b.width;
  AddKeySums<TileUnit>(first, units, b.p, b.dy, b.dv + at, b);
  AddKeySums<TileUnit>(first, units, b.ds, b.q, b.dk + at, b);
  TileBarrier();
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

void LoadUnit(const BackwardCall<bf16>& call, size_t window, size_t index, const Buffers& b) {
  const AttentionDims& d = call.d;
  const Unit& u = b.units[index];
  const size_t stride = d.H * d.D, first = (window * d.T + u.row) * d.H + u.head;
  const auto pack = [&](const bf16* from, bf16* columns, bf16* rows) {
    CopyRows(from + first * d.D, stride, u.rows, d.D, kPiece, b.copy);
    PackTransposed(b.copy, kTile, b.width, columns);
    PackTransposed(b.copy + kTile * b.width, kTile, b.width, columns + b.steps * kOperand);
    PackHalves(b.copy, b.width, rows + index * kPiece * b.width);
  };
  pack(call.q, u.q_columns, b.q);
  pack(call.dy, u.dy_columns, b.dy);
  std::fill(u.dq, u.dq + kPiece * b.width, 0.0F);
  std::fill(u.lse, u.lse + kPiece, 0.0F);
  std::fill(u.minus_delta, u.minus_delta + kPiece, 0.0F);
  for (size_t r = 0; r < u.rows; ++r) {
    const size_t at = first + r * d.H;
    u.lse[r] = 1.4426950408889634F * call.lse[at];
    u.minus_delta[r] = -Dot(call.dy + at * d.D, call.y + at * d.D, d.D);
  }
}

void StoreDq(const BackwardCall<bf16>& call, BackwardTask task, const Unit& u, const Buffers& b) {
  if (call.dq.data == nullptr) return;
  const AttentionDims& d = call.d;
  const __m512 scale = _mm512_set1_ps(b.scale);
  for (size_t r = 0; r < u.rows; r += kTile) {
    const float* from = u.dq + r * b.width;
    const size_t rows = std::min(kTile, u.rows - r), stride = d.H * d.D;
    if (float* part = PartialDq(call, task, u.row); part != nullptr) {
      StoreColumns(from, scale, rows, d.D, Into::kOverwrite, stride,
                   part + (r * d.H + u.head) * d.D);
    } else {
      StoreColumns(from, scale, rows, d.D, call.dq.into, stride,
                   call.dq.data + ((task.b * d.T + u.row + r) * d.H + u.head) * d.D);
    }
  }
}

void StoreKeys(AttentionDims d, BackwardTask task, const float* from, float scale, Grad<bf16> to) {
  if (to.data == nullptr) return;
  const size_t across = PaddedWidth(d.D) / kTile;
  for (size_t u = 0; u < task.keys; ++u) {
    bf16* row = to.data + ((task.b * d.T + task.key + u) * d.K + task.kv_head) * d.D;
    for (size_t c = 0; c * kTile < d.D; ++c) {
      const float* sums = from + (u / kTile * across + c) * kSums + u % kTile * kTile;
      const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(sums), _mm512_set1_ps(scale));
      StoreVector(x, FirstLanes(d.D - c * kTile), to.into, row + c * kTile);
    }
  }
}

void LoadKeys(const BackwardCall<bf16>& call, BackwardTask task, size_t keys, const Buffers& b) {
  const AttentionDims& d = call.d;
  const size_t stride = d.K * d.D;
  for (size_t key = 0; key < keys; key += kTileKeys) {
    const size_t loaded = std::min(kTileKeys, task.keys - key), at = key * b.width;
    const size_t from = (task.b * d.T + task.key + key) * stride + task.kv_head * d.D;
    PackRows(call.v + from, stride, loaded, d.D, kTileKeys, b.v + at);
    PackRows(call.k + from, stride, loaded, d.D, kTileKeys, b.k + at);
    CopyRows(call.k + from, stride, loaded, d.D, kTileKeys, b.copy);
    PackColumns(b.copy, kTileKeys, b.width, b.k_columns + at);
  }
  std::fill(b.dk, b.dk + keys * b.width, 0.0F);
  std::fill(b.dv, b.dv + keys * b.width, 0.0F);
}

template <class TileUnit>
void Backward(const BackwardCall<bf16>& call, BackwardTask task, void* workspace) {
  const AttentionDims& d = call.d;
  const size_t group = d.H / d.K, keys = RoundUp(task.keys, kTileKeys);
  Buffers b = Carve(d, keys, workspace);
  LoadKeys(call, task, keys, b);
  const typename TileUnit::Mode mode;

  // Units in the order of their rows; those of the group's heads that share rows are neighbours.
  const size_t count = CeilDiv(d.T - task.key, kPiece) * group;
  for (size_t begin = 0; begin < count; begin += kUnits) {
    const size_t units = std::min(kUnits, count - begin);
    for (size_t i = 0; i < units; ++i) {
      Unit& u = b.units[i];
      u.head = task.kv_head * group + (begin + i) % group;
      u.row = task.key + (begin + i) / group * kPiece;
      u.rows = std::min(kPiece, d.T - u.row);
      LoadUnit(call, task.b, i, b);
    }
    const Unit& last = b.units[units - 1];
    const size_t end = std::min(task.keys, last.row + last.rows - task.key);
    for (size_t key = 0; key < end; key += kTileKeys) {
      AddTile<TileUnit>(key / kTileKeys, task.key + key, units, b);
    }
    for (size_t i = 0; i < units; ++i) StoreDq(call, task, b.units[i], b);
  }
  StoreKeys(d, task, b.dk, b.scale, call.dk);
  StoreKeys(d, task, b.dv, 1.0F, call.dv);
}

}  // namespace
}  // namespace golf::cpu::tiles

namespace golf::cpu {

void FillBackwardTasksAmx(AttentionTasks<bf16>& tasks) {
  tasks.backward = tiles::Backward<tiles::MatrixUnit>;
  tasks.backward_bytes = tiles::WorkspaceBytes;
}

void FillBackwardTasksBf16(AttentionTasks<bf16>& tasks) {
  tasks.backward = tiles::Backward<tiles::VectorUnit>;
  tasks.backward_bytes = tiles::WorkspaceBytes;
}

}  // namespace golf::cpu
GOLF_UNITS_END

#else

namespace golf::cpu {
void FillBackwardTasksAmx(AttentionTasks<bf16>&) {}
void FillBackwardTasksBf16(AttentionTasks<bf16>&) {}
}  // namespace golf::cpu

#endif
