// The forward pass on AMX tiles. The same walk as attention_forward.cpp, with two differences:
//   - probabilities are rounded to bf16 before they meet the values;
//   - scores count relative to a reference that a row keeps until the probabilities of one tile outgrow kSumLimit. It
//     saves looking for the greatest score, and rescaling the unfinished sums, at every tile. Each row decides for
//     itself, from its own scores.
#include <hwy/detect_compiler_arch.h>

#if HWY_ARCH_X86_64 && defined(__linux__)
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/attention_amx.h"
#include "kernels/cpu/attention_amx_tiles.h"

GOLF_AMX_BEGIN
namespace golf::cpu::amx {
namespace {

// Two columns of tiles. With 64 keys of width 64, what a tile of scores needs stays in the L1 cache.
constexpr size_t kRows = 2 * kTile;
constexpr size_t kPackedKeys = 512;  // keys that are packed at a time
constexpr float kSumLimit = 256.0F;  // of the probabilities of a row and a tile

// The running state of kRows query rows of one head.
struct RowState {
  bf16* q;             // B operand (D, rows)
  float* y;            // (D, rows), not yet divided by `sum`
  float* reference;    // (rows) scores count relative to it, in powers of two
  float* sum;          // (rows) of 2^(score - reference)
  size_t first, last;  // positions of the first and the last row
};

// What a task shares among its states.
struct Shared {
  size_t width;    // D, padded
  float factor;    // brings scores to powers of two
  bf16* rows;      // (keys or query rows, D): the copy that is packed
  bf16* k;         // A operands (keys, D), tile after tile
  bf16* v;         // A operands (D, keys), tile after tile
  float* scores;   // [2 columns of 16 query rows](keys, 16)
  bf16* p;         // B operand (keys, query rows)
  float* natural;  // (query rows, D)
};

// A key tile as one state sees it.
struct KeyTile {
  size_t at;    // first key, counted from the first packed one
  size_t key;   // its position
  size_t keys;  // that concern the rows, rounded up to kStep
  bool masked;  // some of the keys are in some row's future
};

constexpr size_t StateBytes(size_t width) { return (6 * width + 8) * kRows; }
constexpr size_t SharedBytes(size_t width) {
  return (4 * kPackedKeys + 2 * kTileKeys + 4 * kRows) * width + 6 * kTileKeys * kRows;
}

size_t WorkspaceBytes(AttentionDims d) {
  const size_t width = PaddedWidth(d.D);
  const size_t states = d.H / d.K * CeilDiv(ForwardTaskRows(d), kRows);
  return SharedBytes(width) + states * StateBytes(width);
}

Shared CarveShared(std::byte* memory, size_t head_width) {
  Shared s{};
  s.width = PaddedWidth(head_width);
  s.factor = static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(head_width)));
  s.k = reinterpret_cast<bf16*>(memory);
  s.v = s.k + kPackedKeys * s.width;
  s.rows = s.v + kPackedKeys * s.width;
  s.p = s.rows + kTileKeys * s.width;
  s.scores = reinterpret_cast<float*>(s.p + kTileKeys * kRows);
  s.natural = s.scores + kTileKeys * kRows;
  return s;
}

RowState CarveState(std::byte* memory, size_t width) {
  RowState s{};
  s.y = reinterpret_cast<float*>(memory);
  s.reference = s.y + width * kRows;
  s.sum = s.reference + kRows;
  s.q = reinterpret_cast<bf16*>(s.sum + kRows);
  return s;
}

// The scores of 16 rows.
struct Column {
  const float* scores;  // (keys, 16)
  size_t keys;
  __m512i ahead;  // key i is in the past of lane l, or its present, if i <= ahead[l]
};

template <bool kMasked>
HWY_INLINE __mmask16 Past(const Column& c, size_t i) {
  if constexpr (!kMasked) return 0xffff;
  return _mm512_cmple_epi32_mask(_mm512_set1_epi32(static_cast<int>(i)), c.ahead);
}

template <bool kMasked>
__m512 Greatest(const Column& c) {
  __m512 top = _mm512_set1_ps(-1e30F);
  for (size_t i = 0; i < c.keys; ++i) {
    const __m512 score = _mm512_load_ps(c.scores + i * kTile);
    top = _mm512_mask_max_ps(top, Past<kMasked>(c, i), top, score);
  }
  return top;
}

// Writes 2^(factor * score - reference) as 16 columns of a B operand; returns their sums. On the way it asks for the
// first 8 KiB of what the matrix unit reads next, which stands in the L2 cache.
template <bool kMasked>
HWY_INLINE __m512 Probabilities(const Column& c, __m512 factor, __m512 reference, bf16* p,
                                const bf16* wanted) {
  __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (size_t i = 0; i < c.keys; i += 2) {
#pragma GCC unroll 4
    for (size_t line = 0; line < 4; ++line) {
      _mm_prefetch(reinterpret_cast<const char*>(wanted + (2 * i + line) * kStep), _MM_HINT_T0);
    }
    __m512i rounded[2];
#pragma GCC unroll 2
    for (size_t j = 0; j < 2; ++j) {
      const __m512 score = _mm512_load_ps(c.scores + (i + j) * kTile);
      __m512 x = Exp2(_mm512_fmsub_ps(score, factor, reference));
      if constexpr (kMasked) x = _mm512_maskz_mov_ps(Past<kMasked>(c, i + j), x);
      sum[j] = _mm512_add_ps(sum[j], x);
      rounded[j] = RoundUpperHalf(x);
    }
    _mm512_store_si512(p + i / kStep * kStep * kRows + i % kStep * kTile,
                       InterleaveUpperHalves(rounded[0], rounded[1]));
  }
  return _mm512_add_ps(sum[0], sum[1]);
}

// Moves the lanes `behind` to a new reference; what they have summed so far loses worth.
HWY_INLINE __m512 MoveReference(const RowState& state, size_t r, size_t width, __mmask16 behind,
                                __m512 top) {
  const __m512 old = _mm512_load_ps(state.reference + r);
  const __m512 reference = _mm512_mask_mov_ps(old, behind, top);
  const __m512 worth = Exp2(_mm512_sub_ps(old, reference));
  _mm512_store_ps(state.reference + r, reference);
  _mm512_store_ps(state.sum + r, _mm512_mul_ps(_mm512_load_ps(state.sum + r), worth));
  for (size_t c = 0; c < width; ++c) {
    float* y = state.y + c * kRows + r;
    _mm512_store_ps(y, _mm512_mul_ps(_mm512_load_ps(y), worth));
  }
  return reference;
}

// Scores to probabilities, for one column of 16 rows.
template <bool kMasked>
void SoftmaxColumn(const KeyTile& t, size_t column, const RowState& state, const Shared& shared) {
  const size_t r = column * kTile;
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const int ahead = static_cast<int>(state.first + r) - static_cast<int>(t.key);
  const Column c{shared.scores + r * kTileKeys, t.keys,
                 _mm512_add_epi32(lanes, _mm512_set1_epi32(ahead))};
  const __m512 factor = _mm512_set1_ps(shared.factor);
  bf16* p = shared.p + r * kStep;
  const bf16* wanted =
      column == 0 ? shared.k + (t.at + kTileKeys) * shared.width : shared.v + t.at * shared.width;
  __m512 reference = _mm512_load_ps(state.reference + r);
  __m512 sum = Probabilities<kMasked>(c, factor, reference, p, wanted);
  const __mmask16 behind = _mm512_cmp_ps_mask(sum, _mm512_set1_ps(kSumLimit), _CMP_GT_OQ);
  if (behind != 0) {
    const __m512 top = _mm512_mul_ps(Greatest<kMasked>(c), factor);
    reference = MoveReference(state, r, shared.width, behind, top);
    sum = Probabilities<kMasked>(c, factor, reference, p, wanted);
  }
  _mm512_store_ps(state.sum + r, _mm512_add_ps(_mm512_load_ps(state.sum + r), sum));
}

void Softmax(const KeyTile& t, size_t column, const RowState& state, const Shared& shared) {
  TileBarrier();
  if (t.masked) {
    SoftmaxColumn<true>(t, column, state, shared);
  } else {
    SoftmaxColumn<false>(t, column, state, shared);
  }
  TileBarrier();
}

// The scores of one column of 16 rows against the tile's keys.
HWY_INLINE void MultiplyKeys(const KeyTile& t, size_t column, const RowState& state,
                             const Shared& shared) {
  ProductColumn(t.keys, shared.width / kStep, {shared.k + t.at * shared.width, shared.width},
                {state.q + column * kTile * kStep, kRows},
                shared.scores + column * kTile * kTileKeys);
}

HWY_INLINE void MultiplyValues(const KeyTile& t, const RowState& state, const Shared& shared) {
  for (size_t c = 0; c < shared.width; c += 32) {
    Product32<Start::kSum>(t.keys / kStep,
                           {shared.v + t.at * shared.width + c * kTileKeys, kTileKeys},
                           {shared.p, kRows}, state.y + c * kRows, kRows, nullptr);
  }
}

// Takes one state through the packed keys, positions [key, end). The matrix unit is kept a column ahead of the vector
// units: neither waits for what the other is doing.
void AddKeys(size_t key, size_t end, const RowState& state, const Shared& shared) {
  const auto tile_at = [&](size_t at) {
    const size_t keys = RoundUp(std::min(kTileKeys, end - key - at), kStep);
    return KeyTile{at, key + at, keys, key + at + keys > state.first + 1};
  };
  KeyTile tile = tile_at(0);
  MultiplyKeys(tile, 0, state, shared);
  MultiplyKeys(tile, 1, state, shared);
  for (size_t at = 0; key + at < end; at += kTileKeys) {
    const bool more = key + at + kTileKeys < end;
    const KeyTile next = more ? tile_at(at + kTileKeys) : tile;
    Softmax(tile, 0, state, shared);
    if (more) MultiplyKeys(next, 0, state, shared);
    Softmax(tile, 1, state, shared);
    MultiplyValues(tile, state, shared);
    if (more) MultiplyKeys(next, 1, state, shared);
    tile = next;
  }
  TileBarrier();
}

void StartRows(const ForwardCall<bf16>& call, ForwardTask task, size_t head, size_t row,
               size_t rows, const Shared& shared, RowState& state) {
  const AttentionDims& d = call.d;
  const size_t stride = d.H * d.D;
  CopyRows(call.q + (task.b * d.Q + row) * stride + head * d.D, stride, rows, d.D, kRows,
           shared.rows);
  PackTransposed(shared.rows, kRows, shared.width, state.q);
  state.first = call.first_row_of(task.b) + row;
  state.last = state.first + rows - 1;
  std::fill(state.y, state.y + shared.width * kRows, 0.0F);
  std::fill(state.reference, state.reference + kRows, -1e30F);
  std::fill(state.sum, state.sum + kRows, 0.0F);
}

void FinishRows(const ForwardCall<bf16>& call, ForwardTask task, size_t head, size_t row,
                size_t rows, const Shared& shared, const RowState& state) {
  const AttentionDims& d = call.d;
  TransposeFloats(state.y, shared.width, kRows, shared.natural);
  for (size_t r = 0; r < rows; ++r) {
    const size_t at = (task.b * d.Q + row + r) * d.H + head;
    StoreRow(shared.natural + r * shared.width, 1.0F / state.sum[r], d.D, Into::kOverwrite,
             call.y + at * d.D);
    if (call.lse != nullptr) {
      call.lse[at] = 0.6931471805599453F * state.reference[r] + std::log(state.sum[r]);
    }
  }
}

// Keys [key, end) of the task's head.
void PackKeys(const ForwardCall<bf16>& call, ForwardTask task, size_t key, size_t end,
              const Shared& shared) {
  const AttentionDims& d = call.d;
  const size_t stride = d.K * d.D;
  for (size_t tile = 0; key + tile < end; tile += kTileKeys) {
    const size_t at = (task.b * d.T + key + tile) * stride + task.kv_head * d.D;
    const size_t loaded = std::min(kTileKeys, end - key - tile);
    CopyRows(call.k + at, stride, loaded, d.D, kTileKeys, shared.k + tile * shared.width);
    CopyRows(call.v + at, stride, loaded, d.D, kTileKeys, shared.rows);
    TransposeRows(shared.rows, kTileKeys, shared.width, shared.v + tile * shared.width);
  }
}

void Forward(const ForwardCall<bf16>& call, ForwardTask task, void* workspace) {
  const AttentionDims& d = call.d;
  const size_t group = d.H / d.K, blocks = CeilDiv(task.rows, kRows), count = group * blocks;
  const Shared shared = CarveShared(static_cast<std::byte*>(workspace), d.D);
  std::byte* state_memory = static_cast<std::byte*>(workspace) + SharedBytes(shared.width);
  const TileRegisters registers;

  std::vector<RowState> states(count);
  const auto for_states = [&](auto f) {
    for (size_t i = 0; i < count; ++i) {
      const size_t row = i % blocks * kRows;
      f(states[i], task.kv_head * group + i / blocks, task.row + row,
        std::min(kRows, task.rows - row));
    }
  };
  for (size_t i = 0; i < count; ++i) {
    states[i] = CarveState(state_memory + i * StateBytes(shared.width), shared.width);
  }
  for_states([&](RowState& state, size_t head, size_t row, size_t rows) {
    StartRows(call, task, head, row, rows, shared, state);
  });
  const size_t end = states.back().last + 1;
  for (size_t key = 0; key < end; key += kPackedKeys) {
    PackKeys(call, task, key, std::min(end, key + kPackedKeys), shared);
    for (const RowState& state : states) {
      if (state.last >= key) {
        AddKeys(key, std::min(state.last + 1, key + kPackedKeys), state, shared);
      }
    }
  }
  for_states([&](const RowState& state, size_t head, size_t row, size_t rows) {
    FinishRows(call, task, head, row, rows, shared, state);
  });
}

}  // namespace

void FillForwardTasks(AttentionTasks<bf16>& tasks) {
  tasks.forward = Forward;
  tasks.forward_bytes = WorkspaceBytes;
}

}  // namespace golf::cpu::amx
GOLF_AMX_END
#endif
