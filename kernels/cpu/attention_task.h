// How attention is cut into tasks, and what one task is told. The driver (attention.cpp) runs tasks in any order on any
// number of threads; every row's arithmetic is settled inside one task, so that the cut never shows in the bits.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/variant.h"
#include "kernels/ops.h"

namespace golf::cpu {

// Keys are tiled from position 0 on, whatever the query rows are: the order of a row's sums is fixed by its position.
inline constexpr size_t kTileKeys = 64;
// Query rows that share one pass over a key tile.
inline constexpr size_t kTileRows = 64;
// Keys of one backward task. Rows that see more keys get dq from several tasks, which leave their parts in the scratch
// buffer; the first kChunkKeys rows of a window do not.
inline constexpr size_t kChunkKeys = 1024;

inline size_t CeilDiv(size_t a, size_t b) { return (a + b - 1) / b; }
inline size_t RoundUp(size_t a, size_t b) { return CeilDiv(a, b) * b; }

template <class T>
struct ForwardCall {
  AttentionDims d;
  const T* q;
  const T* k;
  const T* v;
  const uint32_t* first_row;
  T* y;
  float* lse;

  size_t first_row_of(size_t b) const { return first_row != nullptr ? first_row[b] : 0; }
};

// One key/value head of one window, and query rows [row, row + rows) of each query head that reads it.
struct ForwardTask {
  size_t b, kv_head, row, rows;
};

template <class T>
struct BackwardCall {
  AttentionDims d;
  const T* q;
  const T* k;
  const T* v;
  const T* y;
  const float* lse;
  const T* dy;
  Grad<T> dq, dk, dv;
  // (B, then for each chunk: T - FirstPartialRow(first key), H, D).
  float* partial_dq;
};

// One key/value head of one window, and keys [key, key + keys).
struct BackwardTask {
  size_t b, kv_head, key, keys;
};

// The first row to whose dq the chunk of keys that starts at `key` adds no more than a part.
inline size_t FirstPartialRow(size_t key) { return std::max(key, kChunkKeys); }

// Elements of partial dq that one window holds before those of the chunk that starts at `key`.
inline size_t PartialOffset(AttentionDims d, size_t key) {
  size_t rows = 0;
  for (size_t start = 0; start < key; start += kChunkKeys) rows += d.T - FirstPartialRow(start);
  return rows * d.H * d.D;
}

inline size_t PartialElements(AttentionDims d) {
  return d.T <= kChunkKeys ? 0 : PartialOffset(d, RoundUp(d.T, kChunkKeys));
}

// Where the chunk of a task leaves its part of one row's dq, or null: dq itself is the place.
template <class T>
float* PartialDq(const BackwardCall<T>& call, const BackwardTask& task, size_t row) {
  const size_t first = FirstPartialRow(task.key);
  if (row < first) return nullptr;
  return call.partial_dq + task.b * PartialElements(call.d) + PartialOffset(call.d, task.key) +
         (row - first) * call.d.H * call.d.D;
}

// A variant's tasks. `workspace` is 64-byte aligned and belongs to the calling thread.
template <class T>
struct AttentionTasks {
  size_t (*forward_bytes)(AttentionDims);
  void (*forward)(const ForwardCall<T>&, ForwardTask, void* workspace);
  size_t (*backward_bytes)(AttentionDims);
  void (*backward)(const BackwardCall<T>&, BackwardTask, void* workspace);
};

// Both element types' tasks for one instruction set. Each file enters its own.
struct AttentionTable {
  AttentionTasks<float> f32;
  AttentionTasks<bf16> b16;
};

void FillForwardTasks(Variant variant, AttentionTable& table);   // attention_forward.cpp
void FillBackwardTasks(Variant variant, AttentionTable& table);  // attention_backward.cpp
// Tasks on tiles of bf16, by the matrix unit or by vector units: the variants kAmx and kAvx512Bf16.
void FillForwardTasksAmx(AttentionTasks<bf16>& tasks);    // attention_amx_forward.cpp
void FillForwardTasksBf16(AttentionTasks<bf16>& tasks);   // attention_bf16_forward.cpp
void FillBackwardTasksAmx(AttentionTasks<bf16>& tasks);   // attention_bf16_backward.cpp
void FillBackwardTasksBf16(AttentionTasks<bf16>& tasks);  // attention_bf16_backward.cpp

}  // namespace golf::cpu
