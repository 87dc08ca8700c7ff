// The forward pass on float tiles, once per instruction set.
#include "kernels/cpu/attention_task.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_forward.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/attention_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

// The running state of up to kTileRows query rows of one head, (D, rows) like the scores.
struct RowState {
  float* q;            // (D, rows) times log2(e) / sqrt(D): scores count in powers of two
  float* y;            // (D, rows), not yet divided by `sum`
  float* top;          // (rows) greatest score so far
  float* sum;          // (rows) sum of 2^(score - top)
  float* position;     // (rows) position of the row; integers below 2^24 are exact
  size_t first, last;  // positions of the first and the last row
};

constexpr size_t StateFloats(size_t width) { return (2 * width + 3) * kTileRows; }
constexpr size_t ScoreFloats() { return (kTileKeys + 1) * kTileRows; }

RowState StateAt(float* memory, size_t width) {
  float* rows = memory + 2 * width * kTileRows;
  return {memory, memory + width * kTileRows, rows, rows + kTileRows, rows + 2 * kTileRows, 0, 0};
}

// Keys from `key` on, of which the first `keys` (a multiple of kPanelRows) concern this state.
// s (keys, rows): scores in, probabilities relative to the new top out. rescale (rows): what the old sums are worth.
template <bool kMasked>
void Softmax(size_t key, size_t keys, const RowState& state, float* HWY_RESTRICT s,
             float* HWY_RESTRICT rescale) {
  const D d;
  for (size_t r = 0; r < kTileRows; r += kLanes) {
    const V position = hn::Load(d, state.position + r);
    const V lowest = hn::Set(d, -1e30F);
    const V old_top = hn::Load(d, state.top + r);
    V top = old_top;
    for (size_t i = 0; i < keys; ++i) {
      V score = hn::Load(d, s + i * kTileRows + r);
      if constexpr (kMasked) {
        const V at = hn::Set(d, static_cast<float>(key + i));
        score = hn::IfThenElse(hn::Le(at, position), score, lowest);
      }
      top = hn::Max(top, score);
    }
    V sum = hn::Zero(d);
    for (size_t i = 0; i < keys; ++i) {
      V p = Exp2(hn::Sub(hn::Load(d, s + i * kTileRows + r), top));
      if constexpr (kMasked) {
        const V at = hn::Set(d, static_cast<float>(key + i));
        p = hn::IfThenElseZero(hn::Le(at, position), p);
      }
      sum = hn::Add(sum, p);
      hn::Store(p, d, s + i * kTileRows + r);
    }
    const V worth = Exp2(hn::Sub(old_top, top));
    hn::Store(worth, d, rescale + r);
    hn::Store(top, d, state.top + r);
    hn::Store(hn::MulAdd(hn::Load(d, state.sum + r), worth, sum), d, state.sum + r);
  }
}

template <class T>
void StartRows(const ForwardCall<T>& call, ForwardTask task, size_t head, size_t row, size_t rows,
               float* natural, RowState& state) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D), stride = d.H * d.D;
  const T* q = call.q + (task.b * d.Q + row) * stride + head * d.D;
  LoadTile(q, stride, rows, d.D, kTileRows, natural);
  const double scale = 1.4426950408889634 / std::sqrt(static_cast<double>(d.D));
  TransposeTile(natural, kTileRows, width, static_cast<float>(scale), state.q);
  state.first = call.first_row_of(task.b) + row;
  state.last = state.first + rows - 1;
  std::fill(state.y, state.y + width * kTileRows, 0.0F);
  for (size_t r = 0; r < kTileRows; ++r) {
    state.top[r] = -1e30F;
    state.sum[r] = 0.0F;
    state.position[r] = static_cast<float>(state.first + r);
  }
}

template <class T>
void FinishRows(const ForwardCall<T>& call, ForwardTask task, size_t head, size_t row, size_t rows,
                float* natural, const RowState& state) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D);
  TransposeTile(state.y, width, kTileRows, 1.0F, natural);
  for (size_t r = 0; r < rows; ++r) {
    const size_t at = (task.b * d.Q + row + r) * d.H + head;
    StoreRow(natural + r * width, 1.0F / state.sum[r], d.D, Into::kOverwrite, call.y + at * d.D);
    if (call.lse != nullptr) {
      call.lse[at] = 0.6931471805599453F * state.top[r] + std::log(state.sum[r]);
    }
  }
}

// Takes rows through the keys they see; k and v (keys, D). s and rescale are scratch.
void PassOverKeys(size_t width, const float* k, const float* v, const RowState& state, float* s,
                  float* rescale) {
  for (size_t key = 0; key <= state.last; key += kTileKeys) {
    const size_t keys = RoundUp(std::min(kTileKeys, state.last + 1 - key), kPanelRows);
    TileProduct<Start::kZero>(keys, kTileRows, width, {k + key * width, width, 1}, state.q,
                              kTileRows, s, kTileRows, nullptr);
    if (key + keys - 1 > state.first) {
      Softmax<true>(key, keys, state, s, rescale);
    } else {
      Softmax<false>(key, keys, state, s, rescale);
    }
    TileProduct<Start::kScaledTile>(width, kTileRows, keys, {v + key * width, 1, width}, s,
                                    kTileRows, state.y, kTileRows, rescale);
  }
}

template <class T>
void Forward(const ForwardCall<T>& call, ForwardTask task, void* workspace) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D), group = d.H / d.K, stride = d.K * d.D;
  const size_t end = call.first_row_of(task.b) + task.row + task.rows;
  float* s = static_cast<float*>(workspace);  // (keys, rows)
  float* rescale = s + kTileKeys * kTileRows;
  float* natural = s + ScoreFloats();  // (rows, D)
  RowState state = StateAt(natural + kTileRows * width, width);
  float* k = natural + kTileRows * width + StateFloats(width);  // (T, D)
  float* v = k + RoundUp(d.T, kTileKeys) * width;               // (T, D)
  const size_t keys = task.b * d.T * stride + task.kv_head * d.D;
  LoadTile(call.k + keys, stride, end, d.D, RoundUp(end, kTileKeys), k);
  LoadTile(call.v + keys, stride, end, d.D, RoundUp(end, kTileKeys), v);
  for (size_t head = task.kv_head * group; head < (task.kv_head + 1) * group; ++head) {
    for (size_t row = task.row; row < task.row + task.rows; row += kTileRows) {
      const size_t rows = std::min(kTileRows, task.row + task.rows - row);
      StartRows(call, task, head, row, rows, natural, state);
      PassOverKeys(width, k, v, state, s, rescale);
      FinishRows(call, task, head, row, rows, natural, state);
    }
  }
}

size_t WorkspaceBytes(AttentionDims d) {
  const size_t width = PaddedWidth(d.D);
  return (ScoreFloats() + kTileRows * width + StateFloats(width) +
          2 * RoundUp(d.T, kTileKeys) * width) *
         sizeof(float);
}

}  // namespace

void FillForwardTasks(AttentionTable& table) {
  table.f32.forward = Forward<float>;
  table.b16.forward = Forward<bf16>;
  table.f32.forward_bytes = table.b16.forward_bytes = WorkspaceBytes;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL_OF(AttentionTable, FillForwardTasks)
#endif
