// The forward pass on AMX tiles. The same walk as attention_forward.cpp, with two differences:
//   - probabilities are rounded to bf16 before they meet the values;
//   - scores count relative to a reference that a row keeps until the probabilities of one tile outgrow kSumLimit. It
//     saves looking for the greatest score, and rescaling the unfinished sums, at every tile. Each row decides for
//     itself, from its own scores.
#include <hwy/detect_compiler_arch.h>

#if HWY_ARCH_X86_64 && defined(__linux__)
#include <algorithm>
#include <cmath>

#include "kernels/cpu/attention_amx.h"
#include "kernels/cpu/attention_amx_tiles.h"

GOLF_AMX_BEGIN
namespace golf::cpu::amx {
namespace {

// Columns that pass over the keys together, sharing each tile of keys while it is in the L1 cache.
constexpr size_t kColumns = 4;
constexpr float kSumLimit = 256.0F;  // of the probabilities of a row and a tile

// The running state of kTile query rows of one head: a column of tiles, scores being (key, row).
struct Column {
  bf16* q;             // B operand (D, rows)
  float* y;            // (D, rows), not yet divided by `sum`
  float* reference;    // (rows) scores count relative to it, in powers of two
  float* sum;          // (rows) of 2^(score - reference)
  size_t head, row;    // where the rows are in q and y
  size_t first, last;  // positions of the first and the last row
};

struct Workspace {
  size_t width, steps;  // D, padded; in steps of tiles
  float factor;         // brings scores to powers of two
  bf16* rows;           // (tile keys, D): the copy that is packed
  bf16* k;              // [tile of keys][16 keys][step]: A operands
  bf16* v;              // [tile of keys][16 of D][step of keys]: A operands
  float* scores;        // (tile keys, rows)
  float* again;         // (tile keys, rows): scores that are needed a second time
  bf16* p;              // B operand (tile keys, rows)
  Column columns[kColumns];
};

// One column meeting one tile of keys.
struct Stage {
  size_t column, tile;
  size_t keys;  // that concern the rows, rounded up to kStep; 0: past the last stage
};

constexpr size_t ColumnBytes(size_t width) { return (6 * width + 8) * kTile; }

size_t WorkspaceBytes(AttentionDims d) {
  const size_t width = PaddedWidth(d.D);
  return (4 * RoundUp(d.T, kTileKeys) + 2 * kTileKeys) * width + 10 * kTileKeys * kTile +
         kColumns * ColumnBytes(width);
}

Workspace Carve(void* memory, AttentionDims d) {
  std::byte* next = static_cast<std::byte*>(memory);
  const auto take = [&](auto** p, size_t n) {
    *p = reinterpret_cast<std::remove_reference_t<decltype(*p)>>(next);
    next += n * sizeof(**p);
  };
  Workspace w{};
  w.width = PaddedWidth(d.D);
  w.steps = w.width / kStep;
  w.factor = static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(d.D)));
  take(&w.scores, kTileKeys * kTile);
  take(&w.p, kTileKeys * kTile);
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
void PackKeys(const ForwardCall<bf16>& call, ForwardTask task, size_t end, const Workspace& w) {
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

// Registers: 0 a tile of scores, 1 a tile of y, 2-3 the probabilities, 4-5 keys or values, 6-7 the queries.

// Loads what MultiplyKeys takes from the registers: all of q if its width is no more than two steps.
HWY_INLINE void LoadQueries(const Workspace& w, const Column& column) {
  _tile_loadd(6, column.q, 64);
  if (w.steps > 1) _tile_loadd(7, column.q + kOperand, 64);
}

// Register 0 = the scores of keys [16 i, 16 i + 16) of a tile.
HWY_INLINE void MultiplyKeys(const Workspace& w, const Column& column, size_t tile, size_t i) {
  const bf16* k = w.k + tile * kTileKeys * w.width + i * w.steps * kOperand;
  _tile_zero(0);
  _tile_loadd(4, k, 64);
  _tile_dpbf16ps(0, 4, 6);
  if (w.steps == 1) return;
  _tile_loadd(5, k + kOperand, 64);
  _tile_dpbf16ps(0, 5, 7);
  if (w.steps == 2) return;
  for (size_t s = 2; s < w.steps; ++s) {
    _tile_loadd(4, k + s * kOperand, 64);
    _tile_loadd(6, column.q + s * kOperand, 64);
    _tile_dpbf16ps(0, 4, 6);
  }
  _tile_loadd(6, column.q, 64);
}

HWY_INLINE void LoadProbabilities(const Workspace& w) {
  _tile_loadd(2, w.p, 64);
  _tile_loadd(3, w.p + kOperand, 64);
}

// Register 1 = y, elements [16 i, 16 i + 16) of each row, with the stage's values added.
HWY_INLINE void MultiplyValues(const Workspace& w, const Stage& stage, size_t i) {
  const bf16* v = w.v + stage.tile * kTileKeys * w.width + i * kTileKeys / kStep * kOperand;
  _tile_loadd(1, w.columns[stage.column].y + i * kSums, 64);
  _tile_loadd(4, v, 64);
  _tile_dpbf16ps(1, 4, 2);
  if (stage.keys == kStep) return;
  _tile_loadd(5, v + kOperand, 64);
  _tile_dpbf16ps(1, 5, 3);
}

// Which keys a row may look at: key i of a tile is in the past of row r, or its present, if i <= ahead[r].
struct Horizon {
  __m512i ahead;

  Horizon(const Stage& stage, const Column& column) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const int first = static_cast<int>(column.first) - static_cast<int>(stage.tile * kTileKeys);
    ahead = _mm512_add_epi32(lanes, _mm512_set1_epi32(first));
  }
  __mmask16 Past(size_t i) const {
    return _mm512_cmple_epi32_mask(_mm512_set1_epi32(static_cast<int>(i)), ahead);
  }
};

// The greatest score of each row.
__m512 Greatest(const float* scores, size_t keys, const Horizon& horizon) {
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

// Where a row's probabilities of one tile outgrow the limit: scores and probabilities once more, from a new reference.
void StartAgain(const Stage& stage, __mmask16 behind, const Workspace& w, __m512 (&sum)[2]) {
  const Column& column = w.columns[stage.column];
  const Horizon horizon(stage, column);
  LoadQueries(w, column);
  for (size_t i = 0; i * kTile < stage.keys; ++i) {
    MultiplyKeys(w, column, stage.tile, i);
    _tile_stored(0, w.again + i * kSums, 64);
  }
  TileBarrier();
  const __m512 factor = _mm512_set1_ps(w.factor);
  const __m512 top = _mm512_mul_ps(Greatest(w.again, stage.keys, horizon), factor);
  const __m512 reference = MoveReference(column, w.width, behind, top);
  sum[0] = sum[1] = _mm512_setzero_ps();
  for (size_t i = 0; i < stage.keys; i += kTile) {
    Probabilities<true>(w.again, i, horizon, factor, reference, w.p, sum);
  }
}

// Turns one stage's scores into probabilities, while the matrix unit uses up the previous stage's probabilities and makes
// the next one's scores. The two units work side by side only if their instructions are close together: they take turns
// every 16 keys. Scores and probabilities of two stages share their memory, which the L1 cache is short of: the old
// probabilities wait in registers, and new scores are stored where old ones have been used.
template <bool kMasked>
void RunStage(const Stage& previous, const Stage& stage, const Stage& next, const Workspace& w) {
  const Column& column = w.columns[stage.column];
  const Column& next_column = w.columns[next.column];
  const Horizon horizon(stage, column);
  const __m512 factor = _mm512_set1_ps(w.factor);
  if (stage.tile == 0) {
    _mm512_store_ps(column.reference,
                    _mm512_mul_ps(Greatest(w.scores, stage.keys, horizon), factor));
  }
  const __m512 reference = _mm512_load_ps(column.reference);
  __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  const size_t values = previous.keys != 0 ? w.width / kTile : 0;
  if (next.keys != 0) LoadQueries(w, next_column);
  if (previous.keys != 0) LoadProbabilities(w);
  constexpr size_t kTurns = kTileKeys / kTile;
  for (size_t turn = 0; turn < kTurns; ++turn) {
    TileBarrier();
    float* y = nullptr;  // where register 1 belongs
    for (size_t i = values * turn / kTurns; i < values * (turn + 1) / kTurns; ++i) {
      if (y != nullptr) _tile_stored(1, y, 64);
      MultiplyValues(w, previous, i);
      y = w.columns[previous.column].y + i * kSums;
    }
    const bool more = turn * kTile < next.keys;
    if (more) MultiplyKeys(w, next_column, next.tile, turn);
    if (turn * kTile < stage.keys) {
      Probabilities<kMasked>(w.scores, turn * kTile, horizon, factor, reference, w.p, sum);
    }
    TileBarrier();
    if (y != nullptr) _tile_stored(1, y, 64);
    if (more) _tile_stored(0, w.scores + turn * kSums, 64);
  }
  TileBarrier();
  const __m512 all = _mm512_add_ps(sum[0], sum[1]);
  const __mmask16 behind = _mm512_cmp_ps_mask(all, _mm512_set1_ps(kSumLimit), _CMP_GT_OQ);
  if (behind != 0) StartAgain(stage, behind, w, sum);
  _mm512_store_ps(column.sum,
                  _mm512_add_ps(_mm512_load_ps(column.sum), _mm512_add_ps(sum[0], sum[1])));
}

// Takes `columns` columns over their keys.
void PassOverKeys(size_t columns, const Workspace& w) {
  size_t end = 0;  // of all columns' keys
  for (size_t i = 0; i < columns; ++i) end = std::max(end, w.columns[i].last + 1);
  const auto stage_from = [&](size_t column, size_t tile) {
    for (; tile * kTileKeys < end; ++tile, column = 0) {
      for (; column < columns; ++column) {
        const size_t key = tile * kTileKeys, last = w.columns[column].last;
        if (key > last) continue;
        return Stage{column, tile, RoundUp(std::min(kTileKeys, last + 1 - key), kStep)};
      }
    }
    return Stage{0, 0, 0};
  };
  Stage previous{0, 0, 0}, stage = stage_from(0, 0);
  LoadQueries(w, w.columns[0]);
  for (size_t i = 0; i * kTile < stage.keys; ++i) {
    MultiplyKeys(w, w.columns[0], 0, i);
    _tile_stored(0, w.scores + i * kSums, 64);
  }
  while (stage.keys != 0) {
    const Stage next = stage_from(stage.column + 1, stage.tile);
    if (stage.tile * kTileKeys + stage.keys > w.columns[stage.column].first + 1) {
      RunStage<true>(previous, stage, next, w);
    } else {
      RunStage<false>(previous, stage, next, w);
    }
    previous = stage;
    stage = next;
  }
  LoadProbabilities(w);
  for (size_t i = 0; i < w.width / kTile; ++i) {
    MultiplyValues(w, previous, i);
    _tile_stored(1, w.columns[previous.column].y + i * kSums, 64);
  }
  TileBarrier();
}

void StartColumn(const ForwardCall<bf16>& call, ForwardTask task, size_t head, size_t row,
                 const Workspace& w, Column& column) {
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

void FinishColumn(const ForwardCall<bf16>& call, ForwardTask task, const Column& column) {
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

void Forward(const ForwardCall<bf16>& call, ForwardTask task, void* workspace) {
  const AttentionDims& d = call.d;
  const size_t group = d.H / d.K, count = group * CeilDiv(task.rows, kTile);
  Workspace w = Carve(workspace, d);
  const TileMode mode;
  PackKeys(call, task, call.first_row_of(task.b) + task.row + task.rows, w);
  for (size_t begin = 0; begin < count; begin += kColumns) {
    const size_t columns = std::min(kColumns, count - begin);
    for (size_t i = 0; i < columns; ++i) {
      const size_t head = task.kv_head * group + (begin + i) % group;
      StartColumn(call, task, head, task.row + (begin + i) / group * kTile, w, w.columns[i]);
    }
    PassOverKeys(columns, w);
    for (size_t i = 0; i < columns; ++i) FinishColumn(call, task, w.columns[i]);
  }
}

}  // namespace

void FillForwardTasks(AttentionTasks<bf16>& tasks) {
  tasks.forward = Forward;
  tasks.forward_bytes = WorkspaceBytes;
}

}  // namespace golf::cpu::amx
GOLF_AMX_END
#endif
