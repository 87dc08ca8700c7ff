// The forward pass on the matrix unit of x86 processors (AMX).
#include <hwy/detect_compiler_arch.h>

#include "kernels/cpu/attention_task.h"

#if HWY_ARCH_X86_64 && defined(__linux__)
#include "kernels/cpu/attention_columns.h"
#include "kernels/cpu/tile_units.h"

GOLF_UNITS_BEGIN
namespace golf::cpu::tiles {
namespace {

struct MatrixWalk {
  using Mode = MatrixUnit::Mode;
  static constexpr size_t kColumns = 4, kScored = 1;
  static void PassOverKeys(size_t columns, const Workspace<MatrixWalk>& w);
};
using Work = Workspace<MatrixWalk>;

// One column meeting one tile of keys.
struct Stage {
  size_t column, tile;
  size_t keys;  // that concern the rows, rounded up to kStep; 0: past the last stage
};

// Registers: 0 a tile of scores, 1 a tile of y, 2-3 the probabilities, 4-5 keys or values, 6-7 the queries.

// Loads what MultiplyKeys takes from the registers: all of q if its width is no more than two steps.
HWY_INLINE void LoadQueries(const Work& w, const Column& column) {
  _tile_loadd(6, column.q, 64);
  if (w.steps > 1) _tile_loadd(7, column.q + kOperand, 64);
}

// Register 0 = the scores of keys [16 i, 16 i + 16) of a tile.
HWY_INLINE void MultiplyKeys(const Work& w, const Column& column, size_t tile, size_t i) {
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

HWY_INLINE void LoadProbabilities(const Work& w) {
  _tile_loadd(2, w.p, 64);
  _tile_loadd(3, w.p + kOperand, 64);
}

// Register 1 = y, elements [16 i, 16 i + 16) of each row, with the stage's values added.
HWY_INLINE void MultiplyValues(const Work& w, const Stage& stage, size_t i) {
  const bf16* v = w.v + stage.tile * kTileKeys * w.width + i * kTileKeys / kStep * kOperand;
  _tile_loadd(1, w.columns[stage.column].y + i * kSums, 64);
  _tile_loadd(4, v, 64);
  _tile_dpbf16ps(1, 4, 2);
  if (stage.keys == kStep) return;
  _tile_loadd(5, v + kOperand, 64);
  _tile_dpbf16ps(1, 5, 3);
}

// Where a row's probabilities of one tile outgrow the limit: scores and probabilities once more, from a new reference.
void StartAgain(const Stage& stage, __mmask16 behind, const Work& w, __m512 (&sum)[2]) {
  const Column& column = w.columns[stage.column];
  const Horizon horizon(stage.tile, column);
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
void RunStage(const Stage& previous, const Stage& stage, const Stage& next, const Work& w) {
  const Column& column = w.columns[stage.column];
  const Column& next_column = w.columns[next.column];
  const Horizon horizon(stage.tile, column);
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
void MatrixWalk::PassOverKeys(size_t columns, const Work& w) {
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

}  // namespace
}  // namespace golf::cpu::tiles

namespace golf::cpu {

void FillForwardTasksAmx(AttentionTasks<bf16>& tasks) {
  tasks.forward = tiles::Forward<tiles::MatrixWalk>;
  tasks.forward_bytes = tiles::WorkspaceBytes<tiles::MatrixWalk>;
}

}  // namespace golf::cpu
GOLF_UNITS_END

#else

namespace golf::cpu {
void FillForwardTasksAmx(AttentionTasks<bf16>&) {}
}  // namespace golf::cpu

#endif
