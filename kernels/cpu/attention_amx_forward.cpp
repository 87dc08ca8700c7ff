// The forward pass on AMX tiles. The same walk as attention_forward.cpp, with two differences:
//   - probabilities are rounded to bf16 before they meet the values;
//   - a row's reference point follows its greatest score only when it has fallen 8 powers of two behind, so that the
//     unfinished sums are rescaled a few times per row, not once per tile. Each row decides for itself.
#include <hwy/detect_compiler_arch.h>

#if HWY_ARCH_X86_64 && defined(__linux__)
#include <algorithm>
#include <cmath>

#include "kernels/cpu/attention_amx.h"
#include "kernels/cpu/attention_amx_tiles.h"

GOLF_AMX_BEGIN
namespace golf::cpu::amx {
namespace {

constexpr float kSlack = 8.0F;

// The running state of kTileRows query rows of one head.
struct RowState {
  bf16* q;             // B operand (D, rows)
  float* y;            // (D, rows), not yet divided by `sum`
  float* reference;    // (rows) scores count relative to it, in powers of two
  float* sum;          // (rows) of 2^(score - reference)
  size_t first, last;  // positions of the first and the last row
};

// What a task shares among its states.
struct Shared {
  bf16* rows;      // (keys or query rows, D): the copy that is packed
  bf16* k;         // A operand (keys, D)
  bf16* v;         // A operand (D, keys)
  float* scores;   // (keys, query rows)
  bf16* p;         // B operand (keys, query rows)
  float* natural;  // (query rows, D)
};

constexpr size_t StateBytes(size_t width) { return (6 * width + 8) * kTileRows; }
constexpr size_t SharedBytes(size_t width) {
  return 6 * kTileKeys * width + 6 * kTileKeys * kTileRows + 4 * kTileRows * width;
}

size_t WorkspaceBytes(AttentionDims d) {
  const size_t width = PaddedWidth(d.D);
  const size_t states = d.H / d.K * CeilDiv(ForwardTaskRows(d), kTileRows);
  return SharedBytes(width) + states * StateBytes(width);
}

Shared CarveShared(std::byte* memory, size_t width) {
  Shared s{};
  s.rows = reinterpret_cast<bf16*>(memory);
  s.k = s.rows + kTileKeys * width;
  s.v = s.k + kTileKeys * width;
  s.p = s.v + kTileKeys * width;
  s.scores = reinterpret_cast<float*>(s.p + kTileKeys * kTileRows);
  s.natural = s.scores + kTileKeys * kTileRows;
  return s;
}

RowState CarveState(std::byte* memory, size_t width) {
  RowState s{};
  s.y = reinterpret_cast<float*>(memory);
  s.reference = s.y + width * kTileRows;
  s.sum = s.reference + kTileRows;
  s.q = reinterpret_cast<bf16*>(s.sum + kTileRows);
  return s;
}

// Brings `reference` up where the tile's greatest score has outrun it. 16 rows from r on.
HWY_INLINE __m512 UpdateReference(const RowState& state, size_t r, size_t width, __m512 top) {
  const __m512 old = _mm512_load_ps(state.reference + r);
  const __m512 limit = _mm512_add_ps(old, _mm512_set1_ps(kSlack));
  const __mmask16 behind = _mm512_cmp_ps_mask(top, limit, _CMP_GT_OQ);
  if (behind == 0) return old;
  const __m512 reference = _mm512_mask_mov_ps(old, behind, top);
  const __m512 worth = Exp2(_mm512_sub_ps(old, reference));
  _mm512_store_ps(state.reference + r, reference);
  _mm512_store_ps(state.sum + r, _mm512_mul_ps(_mm512_load_ps(state.sum + r), worth));
  for (size_t c = 0; c < width; ++c) {
    float* y = state.y + c * kTileRows + r;
    _mm512_store_ps(y, _mm512_mul_ps(_mm512_load_ps(y), worth));
  }
  return reference;
}

// Turns the tile's scores into probabilities: a B operand of `keys` (a multiple of kStep) summed rows.
template <bool kMasked>
void Softmax(size_t key, size_t keys, float factor, size_t width, const RowState& state,
             const Shared& shared) {
  const __m512 scale = _mm512_set1_ps(factor);
  for (size_t r = 0; r < kTileRows; r += kTile) {
    float* s = shared.scores + r;
    // Key i is in the past of row r + lane if i <= lane + ahead.
    const __m512i ahead = _mm512_add_epi32(
        _mm512_set1_epi32(static_cast<int>(state.first + r) - static_cast<int>(key)),
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    __m512 top[2] = {_mm512_set1_ps(-1e30F), _mm512_set1_ps(-1e30F)};
    for (size_t i = 0; i < keys; i += 2) {
#pragma GCC unroll 2
      for (size_t j = 0; j < 2; ++j) {
        __m512 score = _mm512_load_ps(s + (i + j) * kTileRows);
        if constexpr (kMasked) {
          const __mmask16 past =
              _mm512_cmple_epi32_mask(_mm512_set1_epi32(static_cast<int>(i + j)), ahead);
          score = _mm512_mask_mov_ps(_mm512_set1_ps(-1e30F), past, score);
        }
        top[j] = _mm512_max_ps(top[j], score);
      }
    }
    const __m512 greatest = _mm512_mul_ps(_mm512_max_ps(top[0], top[1]), scale);
    const __m512 reference = UpdateReference(state, r, width, greatest);
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    bf16* out = shared.p + r * kStep;
    for (size_t i = 0; i < keys; i += 2) {
      __m512 p[2];
#pragma GCC unroll 2
      for (size_t j = 0; j < 2; ++j) {
        p[j] = Exp2(_mm512_fmsub_ps(_mm512_load_ps(s + (i + j) * kTileRows), scale, reference));
        if constexpr (kMasked) {
          const __mmask16 past =
              _mm512_cmple_epi32_mask(_mm512_set1_epi32(static_cast<int>(i + j)), ahead);
          p[j] = _mm512_maskz_mov_ps(past, p[j]);
        }
        sum[j] = _mm512_add_ps(sum[j], p[j]);
      }
      _mm512_store_si512(out + i / kStep * kStep * kTileRows + i % kStep * kTile,
                         RoundPairs(p[0], p[1]));
    }
    const __m512 total = _mm512_add_ps(sum[0], sum[1]);
    _mm512_store_ps(state.sum + r, _mm512_add_ps(_mm512_load_ps(state.sum + r), total));
  }
}

void StartRows(const ForwardCall<bf16>& call, ForwardTask task, size_t head, size_t row,
               size_t rows, const Shared& shared, RowState& state) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D), stride = d.H * d.D;
  CopyRows(call.q + (task.b * d.Q + row) * stride + head * d.D, stride, rows, d.D, kTileRows,
           shared.rows);
  PackTransposed(shared.rows, kTileRows, width, state.q);
  state.first = call.first_row_of(task.b) + row;
  state.last = state.first + rows - 1;
  std::fill(state.y, state.y + width * kTileRows, 0.0F);
  std::fill(state.reference, state.reference + kTileRows, -1e30F);
  std::fill(state.sum, state.sum + kTileRows, 0.0F);
}

void FinishRows(const ForwardCall<bf16>& call, ForwardTask task, size_t head, size_t row,
                size_t rows, const Shared& shared, const RowState& state) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D);
  TransposeFloats(state.y, width, kTileRows, shared.natural);
  for (size_t r = 0; r < rows; ++r) {
    const size_t at = (task.b * d.Q + row + r) * d.H + head;
    StoreRow(shared.natural + r * width, 1.0F / state.sum[r], d.D, Into::kOverwrite,
             call.y + at * d.D);
    if (call.lse != nullptr) {
      call.lse[at] = 0.6931471805599453F * state.reference[r] + std::log(state.sum[r]);
    }
  }
}

void Forward(const ForwardCall<bf16>& call, ForwardTask task, void* workspace) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D), group = d.H / d.K;
  const size_t blocks = CeilDiv(task.rows, kTileRows), count = group * blocks;
  const Shared shared = CarveShared(static_cast<std::byte*>(workspace), width);
  std::byte* state_memory = static_cast<std::byte*>(workspace) + SharedBytes(width);
  const float factor = static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(d.D)));
  const TileRegisters registers;

  std::vector<RowState> states(count);
  const auto for_states = [&](auto f) {
    for (size_t i = 0; i < count; ++i) {
      const size_t row = i % blocks * kTileRows;
      f(states[i], task.kv_head * group + i / blocks, task.row + row,
        std::min(kTileRows, task.rows - row));
    }
  };
  for (size_t i = 0; i < count; ++i) {
    states[i] = CarveState(state_memory + i * StateBytes(width), width);
  }
  for_states([&](RowState& state, size_t head, size_t row, size_t rows) {
    StartRows(call, task, head, row, rows, shared, state);
  });
  const size_t end = states.back().last + 1, stride = d.K * d.D;
  for (size_t key = 0; key < end; key += kTileKeys) {
    const size_t at = (task.b * d.T + key) * stride + task.kv_head * d.D;
    const size_t loaded = std::min(kTileKeys, end - key);
    CopyRows(call.k + at, stride, loaded, d.D, kTileKeys, shared.k);
    CopyRows(call.v + at, stride, loaded, d.D, kTileKeys, shared.rows);
    TransposeRows(shared.rows, kTileKeys, width, shared.v);
    for (const RowState& state : states) {
      if (state.last < key) continue;
      const size_t keys = RoundUp(std::min(kTileKeys, state.last + 1 - key), kStep);
      Product<Start::kZero>(keys, kTileRows, width / kStep, {shared.k, width}, {state.q, kTileRows},
                            shared.scores, kTileRows);
      if (key + keys - 1 > state.first) {
        Softmax<true>(key, keys, factor, width, state, shared);
      } else {
        Softmax<false>(key, keys, factor, width, state, shared);
      }
      Product<Start::kSum>(width, kTileRows, keys / kStep, {shared.v, kTileKeys},
                           {shared.p, kTileRows}, state.y, kTileRows);
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
