// The backward pass on float tiles, once per instruction set.
#include "kernels/cpu/attention_task.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_backward.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/attention_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

// One task's buffers. Rows are kTileRows query rows of one head; keys are all keys of the task.
struct Buffers {
  float *k, *v, *dk, *dv;  // (keys, D)
  float *q, *dy, *dq;      // (rows, D); dq also serves as (D, rows) before its transposition
  float *q_columns, *dy_columns, *dq_columns;  // (D, rows); q times log2(e) / sqrt(D)
  float *p, *ds;                               // (tile keys, rows)
  float *minus_lse, *minus_delta, *position;   // (rows); lse in powers of two
};

constexpr size_t BufferFloats(size_t keys, size_t width) {
  return 4 * keys * width + 6 * kTileRows * width + 2 * kTileKeys * kTileRows + 3 * kTileRows;
}

Buffers Carve(float* memory, size_t keys, size_t width) {
  const auto take = [&](size_t n) {
    float* p = memory;
    memory += n;
    return p;
  };
  const size_t by_key = keys * width, by_row = kTileRows * width, tile = kTileKeys * kTileRows;
  // In the order of the members, as written.
  return {.k = take(by_key),
          .v = take(by_key),
          .dk = take(by_key),
          .dv = take(by_key),
          .q = take(by_row),
          .dy = take(by_row),
          .dq = take(by_row),
          .q_columns = take(by_row),
          .dy_columns = take(by_row),
          .dq_columns = take(by_row),
          .p = take(tile),
          .ds = take(tile),
          .minus_lse = take(kTileRows),
          .minus_delta = take(kTileRows),
          .position = take(kTileRows)};
}

// p: scores minus lse in, probabilities out. ds: dp - delta in, p * (dp - delta) out.
template <bool kMasked>
void ScoreGradient(size_t key, size_t keys, const Buffers& buffers) {
  const D d;
  for (size_t i = 0; i < keys; ++i) {
    const V at = hn::Set(d, static_cast<float>(key + i));
    for (size_t r = 0; r < kTileRows; r += kLanes) {
      float* p_at = buffers.p + i * kTileRows + r;
      float* ds_at = buffers.ds + i * kTileRows + r;
      V p = Exp2(hn::Load(d, p_at));
      if constexpr (kMasked) {
        p = hn::IfThenElseZero(hn::Le(at, hn::Load(d, buffers.position + r)), p);
      }
      hn::Store(p, d, p_at);
      hn::Store(hn::Mul(p, hn::Load(d, ds_at)), d, ds_at);
    }
  }
}

template <class T>
void LoadRows(const BackwardCall<T>& call, size_t b, size_t head, size_t row, size_t rows,
              const Buffers& buffers) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D), stride = d.H * d.D;
  const size_t first = (b * d.T + row) * d.H + head;
  LoadTile(call.q + first * d.D, stride, rows, d.D, kTileRows, buffers.q);
  LoadTile(call.dy + first * d.D, stride, rows, d.D, kTileRows, buffers.dy);
  const double scale = 1.4426950408889634 / std::sqrt(static_cast<double>(d.D));
  TransposeTile(buffers.q, kTileRows, width, static_cast<float>(scale), buffers.q_columns);
  TransposeTile(buffers.dy, kTileRows, width, 1.0F, buffers.dy_columns);
  for (size_t r = 0; r < kTileRows; ++r) {
    buffers.position[r] = static_cast<float>(row + r);
    buffers.minus_lse[r] = buffers.minus_delta[r] = 0.0F;
  }
  for (size_t r = 0; r < rows; ++r) {
    const size_t at = first + r * d.H;
    buffers.minus_lse[r] = -1.4426950408889634F * call.lse[at];
    buffers.minus_delta[r] = -SumVectors(d.D, [&](size_t c, auto n) HWY_ATTR {
      return hn::Mul(Load(call.dy + at * d.D + c, n), Load(call.y + at * d.D + c, n));
    });
  }
}

// Adds the products of one (key tile, row tile) pair. The factor 1 / sqrt(D) of dq and dk is applied when they are stored.
template <class T>
void AddTile(const BackwardCall<T>& call, size_t tile, size_t key, size_t keys, size_t row,
             const Buffers& buffers) {
  const size_t width = PaddedWidth(call.d.D), at = tile * width;
  const Left k{buffers.k + at, width, 1}, k_columns{buffers.k + at, 1, width};
  TileProduct<Start::kColumns>(keys, kTileRows, width, k, buffers.q_columns, kTileRows, buffers.p,
                               kTileRows, buffers.minus_lse);
  TileProduct<Start::kColumns>(keys, kTileRows, width, {buffers.v + at, width, 1},
                               buffers.dy_columns, kTileRows, buffers.ds, kTileRows,
                               buffers.minus_delta);
  if (key + keys - 1 > row) {
    ScoreGradient<true>(key, keys, buffers);
  } else {
    ScoreGradient<false>(key, keys, buffers);
  }
  TileProduct<Start::kTile>(keys, width, kTileRows, {buffers.p, kTileRows, 1}, buffers.dy, width,
                            buffers.dv + at, width, nullptr);
  TileProduct<Start::kTile>(keys, width, kTileRows, {buffers.ds, kTileRows, 1}, buffers.q, width,
                            buffers.dk + at, width, nullptr);
  TileProduct<Start::kTile>(width, kTileRows, keys, k_columns, buffers.ds, kTileRows,
                            buffers.dq_columns, kTileRows, nullptr);
}

template <class T>
void StoreDq(const BackwardCall<T>& call, BackwardTask task, size_t head, size_t row, size_t rows,
             float scale, const Buffers& buffers) {
  if (call.dq.data == nullptr) return;
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D);
  TransposeTile(buffers.dq_columns, width, kTileRows, scale, buffers.dq);
  for (size_t r = 0; r < rows; ++r) {
    const float* from = buffers.dq + r * width;
    if (float* part = PartialDq(call, task, row + r); part != nullptr) {
      StoreRow(from, 1.0F, d.D, Into::kOverwrite, part + head * d.D);
    } else {
      StoreRow(from, 1.0F, d.D, call.dq.into,
               call.dq.data + ((task.b * d.T + row + r) * d.H + head) * d.D);
    }
  }
}

template <class T>
void StoreKeys(AttentionDims d, BackwardTask task, const float* from, float scale, Grad<T> to) {
  if (to.data == nullptr) return;
  for (size_t u = 0; u < task.keys; ++u) {
    StoreRow(from + u * PaddedWidth(d.D), scale, d.D, to.into,
             to.data + ((task.b * d.T + task.key + u) * d.K + task.kv_head) * d.D);
  }
}

template <class T>
void Backward(const BackwardCall<T>& call, BackwardTask task, void* workspace) {
  const AttentionDims& d = call.d;
  const size_t width = PaddedWidth(d.D), group = d.H / d.K, stride = d.K * d.D;
  const size_t keys = RoundUp(task.keys, kTileKeys);
  const Buffers buffers = Carve(static_cast<float*>(workspace), keys, width);
  const size_t from = (task.b * d.T + task.key) * stride + task.kv_head * d.D;
  LoadTile(call.k + from, stride, task.keys, d.D, keys, buffers.k);
  LoadTile(call.v + from, stride, task.keys, d.D, keys, buffers.v);
  std::fill(buffers.dk, buffers.dk + keys * width, 0.0F);
  std::fill(buffers.dv, buffers.dv + keys * width, 0.0F);
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d.D)));

  for (size_t row = task.key; row < d.T; row += kTileRows) {
    const size_t rows = std::min(kTileRows, d.T - row);
    const size_t end = std::min(task.keys, row + rows - task.key);  // keys these rows can see
    for (size_t head = task.kv_head * group; head < (task.kv_head + 1) * group; ++head) {
      LoadRows(call, task.b, head, row, rows, buffers);
      std::fill(buffers.dq_columns, buffers.dq_columns + width * kTileRows, 0.0F);
      for (size_t tile = 0; tile < end; tile += kTileKeys) {
        const size_t tile_keys = RoundUp(std::min(kTileKeys, end - tile), kPanelRows);
        AddTile(call, tile, task.key + tile, tile_keys, row, buffers);
      }
      StoreDq(call, task, head, row, rows, scale, buffers);
    }
  }
  StoreKeys(d, task, buffers.dk, scale, call.dk);
  StoreKeys(d, task, buffers.dv, 1.0F, call.dv);
}

size_t WorkspaceBytes(AttentionDims d) {
  const size_t keys = std::min(kChunkKeys, RoundUp(d.T, kTileKeys));
  return BufferFloats(keys, PaddedWidth(d.D)) * sizeof(float);
}

}  // namespace

void FillBackwardTasks(AttentionTable& table) {
  table.f32.backward = Backward<float>;
  table.b16.backward = Backward<bf16>;
  table.f32.backward_bytes = table.b16.backward_bytes = WorkspaceBytes;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL_OF(AttentionTable, FillBackwardTasks)
#endif
