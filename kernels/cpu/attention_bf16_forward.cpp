// The forward pass on the vector units of processors with AVX512-BF16.
#include <hwy/detect_compiler_arch.h>

#include "kernels/cpu/attention_task.h"

#if HWY_ARCH_X86_64 && defined(__linux__)
#include "kernels/cpu/attention_columns.h"
#include "kernels/cpu/tile_units.h"

GOLF_UNITS_BEGIN
namespace golf::cpu::tiles {
namespace {

// Two columns at a time: their scores, probabilities and sums, and a tile of keys and values, fill 36 of the L1 cache's
// kilobytes at a width of 64.
struct VectorWalk {
  using Mode = VectorUnit::Mode;
  static constexpr size_t kColumns = 2, kScored = 2;
  static void PassOverKeys(size_t columns, Workspace<VectorWalk>& w);
};
using Work = Workspace<VectorWalk>;

constexpr size_t kTileScores = kTileKeys * kTile;  // of a column

// The scores of the first `keys` keys of a tile, a multiple of kStep.
void MultiplyKeys(size_t tile, size_t keys, const Work& w) {
  const size_t row = w.steps * kOperand;  // of 16 keys
  const Column* c = w.columns;
  for (size_t key = 0; key < keys; key += 2 * kTile) {
    VectorUnit::Product2x2<Start::kZero>(w.steps,
                                         {w.k + (tile * kTileKeys + key) * w.width, row, kOperand},
                                         {c[0].q, static_cast<size_t>(c[1].q - c[0].q), kOperand},
                                         {w.scores + key * kTile, kSums, kTileScores});
  }
}

// Adds the values of these keys, weighted by their probabilities.
void MultiplyValues(size_t tile, size_t keys, const Work& w) {
  constexpr size_t kRow = kTileKeys / kStep * kOperand;  // of 16 elements of a value
  const Column* c = w.columns;
  for (size_t i = 0; i < w.width / kTile; i += 2) {
    VectorUnit::Product2x2<Start::kSum>(
        keys / kStep, {w.v + tile * kTileKeys * w.width + i * kRow, kRow, kOperand},
        {w.p, kTileScores, kOperand},
        {c[0].y + i * kSums, kSums, static_cast<size_t>(c[1].y - c[0].y)});
  }
}

// Turns a column's scores into probabilities.
template <bool kMasked>
void Exponentiate(size_t tile, size_t keys, size_t index, const Work& w) {
  const Column& column = w.columns[index];
  const Horizon horizon(tile, column);
  const __m512 factor = _mm512_set1_ps(w.factor);
  const float* scores = w.scores + index * kTileScores;
  bf16* p = w.p + index * kTileScores;
  if (tile == 0) {
    _mm512_store_ps(column.reference, _mm512_mul_ps(Greatest(scores, keys, horizon), factor));
  }
  __m512 reference = _mm512_load_ps(column.reference);
  __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (size_t i = 0; i < keys; i += kTile) {
    Probabilities<kMasked>(scores, i, horizon, factor, reference, p, sum);
  }
  const __m512 all = _mm512_add_ps(sum[0], sum[1]);
  const __mmask16 behind = _mm512_cmp_ps_mask(all, _mm512_set1_ps(kSumLimit), _CMP_GT_OQ);
  if (behind != 0) {  // once more, from a new reference
    const __m512 top = _mm512_mul_ps(Greatest(scores, keys, horizon), factor);
    reference = MoveReference(column, w.width, behind, top);
    sum[0] = sum[1] = _mm512_setzero_ps();
    for (size_t i = 0; i < keys; i += kTile) {
      Probabilities<true>(scores, i, horizon, factor, reference, p, sum);
    }
  }
  _mm512_store_ps(column.sum,
                  _mm512_add_ps(_mm512_load_ps(column.sum), _mm512_add_ps(sum[0], sum[1])));
}

// A column that is missing is nobody's: zeros, which see what the other one sees.
void VectorWalk::PassOverKeys(size_t columns, Work& w) {
  if (columns < kColumns) {
    Column& missing = w.columns[1];
    std::fill(missing.q, missing.q + w.width * kTile, bf16{});
    std::fill(missing.y, missing.y + w.width * kTile, 0.0F);
    std::fill(missing.reference, missing.reference + kTile, 0.0F);
    std::fill(missing.sum, missing.sum + kTile, 0.0F);
    missing.first = w.columns[0].first;
    missing.last = w.columns[0].last;
  }
  const size_t end = std::max(w.columns[0].last, w.columns[1].last) + 1;
  for (size_t tile = 0; tile * kTileKeys < end; ++tile) {
    const size_t keys = RoundUp(std::min(kTileKeys, end - tile * kTileKeys), kStep);
    MultiplyKeys(tile, keys, w);
    for (size_t i = 0; i < kColumns; ++i) {
      if (tile * kTileKeys + keys > w.columns[i].first + 1) {
        Exponentiate<true>(tile, keys, i, w);
      } else {
        Exponentiate<false>(tile, keys, i, w);
      }
    }
    MultiplyValues(tile, keys, w);
  }
}

}  // namespace
}  // namespace golf::cpu::tiles

namespace golf::cpu {

void FillForwardTasksBf16(AttentionTasks<bf16>& tasks) {
  tasks.forward = tiles::Forward<tiles::VectorWalk>;
  tasks.forward_bytes = tiles::WorkspaceBytes<tiles::VectorWalk>;
}

}  // namespace golf::cpu
GOLF_UNITS_END

#else

namespace golf::cpu {
void FillForwardTasksBf16(AttentionTasks<bf16>&) {}
}  // namespace golf::cpu

#endif
