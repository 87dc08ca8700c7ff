// Attention's driver: cuts a call into tasks, runs them, adds up what chunks of keys left of dq.
#include "kernels/attention.h"

#include <atomic>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/cpu/attention_task.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"
#include "kernels/threads.h"

namespace golf::cpu {
namespace {

// Runs f(0 .. tasks - 1, workspace), in about this order, on all threads. A thread has its workspace whether it gets a task
// or not: which one does may change from call to call, and only the first call is to allocate.
template <class F>
void RunTasks(size_t tasks, size_t workspace_bytes, const F& f) {
  std::atomic<size_t> next{0};
  ParallelWorkers(static_cast<size_t>(Threads()), [&](size_t /*worker*/) {
    void* const workspace = ThreadWorkspace(workspace_bytes);
    for (size_t i = next++; i < tasks; i = next++) f(i, workspace);
  });
}

void CheckDims(AttentionDims d) {
  GOLF_CHECK(d.K > 0 && d.H % d.K == 0 && d.D > 0 && d.D <= kMaxHeadWidth && d.Q <= d.T);
}

// Query rows of one forward task. Every task packs the keys it sees, so there should be no more tasks than keep the
// threads busy; no result depends on the cut.
size_t ForwardTaskRows(AttentionDims d) {
  const size_t heads = std::max<size_t>(1, d.B * d.K);
  const size_t wanted = CeilDiv(4 * static_cast<size_t>(Threads()), heads);
  return std::max(kTileRows, RoundUp(CeilDiv(d.Q, wanted), kTileRows));
}

template <class T>
void Forward(const AttentionTasks<T>& tasks, const ForwardCall<T>& call) {
  const AttentionDims& d = call.d;
  CheckDims(d);
  for (size_t b = 0; b < d.B; ++b) GOLF_CHECK(call.first_row_of(b) + d.Q <= d.T);
  const size_t step = ForwardTaskRows(d), blocks = CeilDiv(d.Q, step);
  RunTasks(d.B * d.K * blocks, tasks.forward_bytes(d), [&](size_t i, void* workspace) {
    const size_t block =
        blocks - 1 - i / (d.B * d.K);  // late rows see most keys: longest tasks first
    const size_t row = block * step, pair = i % (d.B * d.K);
    tasks.forward(call, {pair / d.K, pair % d.K, row, std::min(step, d.Q - row)}, workspace);
  });
}

// dq (+)= the sum over chunks, first chunk first, for the rows that have several.
template <class T>
void AddPartialDq(const BackwardCall<T>& call) {
  const AttentionDims& d = call.d;
  const size_t width = d.H * d.D, rows = d.T - kChunkKeys;
  ParallelRows(d.B * rows, width, [&](size_t begin, size_t end) {
    std::vector<float> sum(width);
    for (size_t i = begin; i < end; ++i) {
      const size_t b = i / rows, t = kChunkKeys + i % rows;
      std::copy_n(PartialDq(call, {b, 0, 0, 0}, t), width, sum.begin());
      for (size_t key = kChunkKeys; key <= t; key += kChunkKeys) {
        const float* part = PartialDq(call, {b, 0, key, 0}, t);
        for (size_t c = 0; c < width; ++c) sum[c] += part[c];
      }
      T* dq = call.dq.data + (b * d.T + t) * width;
      if (call.dq.into == Into::kAdd) {
        for (size_t c = 0; c < width; ++c) sum[c] += ToFloat(dq[c]);
      }
      for (size_t c = 0; c < width; ++c) dq[c] = FromFloat<T>(sum[c]);
    }
  });
}

template <class T>
void Backward(const AttentionTasks<T>& tasks, const BackwardCall<T>& call) {
  const AttentionDims& d = call.d;
  CheckDims(d);
  GOLF_CHECK(d.Q == d.T);
  const size_t pairs = d.B * d.K, chunks = CeilDiv(d.T, kChunkKeys);
  RunTasks(pairs * chunks, tasks.backward_bytes(d), [&](size_t i, void* workspace) {
    const size_t key = i / pairs * kChunkKeys,
                 pair = i % pairs;  // early keys first: most rows see them
    tasks.backward(call, {pair / d.K, pair % d.K, key, std::min(kChunkKeys, d.T - key)}, workspace);
  });
  if (d.T > kChunkKeys && call.dq.data != nullptr) AddPartialDq(call);
}

size_t Scratch(AttentionDims d) { return d.B * PartialElements(d) * sizeof(float); }

AttentionTable MakeTable(Variant variant) {
  AttentionTable table{};
  FillForwardTasks(variant, table);
  FillBackwardTasks(variant, table);
  if (variant == Variant::kAvx512Bf16) {
    FillForwardTasksBf16(table.b16);
    FillBackwardTasksBf16(table.b16);
  }
  if (variant == Variant::kAmx) {
    FillForwardTasksAmx(table.b16);
    FillBackwardTasksAmx(table.b16);
  }
  return table;
}

template <Variant kVariant, class T>
const AttentionTasks<T>& TasksOf() {
  static const AttentionTable table = MakeTable(kVariant);
  if constexpr (sizeof(T) == sizeof(float)) {
    return table.f32;
  } else {
    return table.b16;
  }
}

template <Variant kVariant, class T>
void FillOps(OpKernels<T>& ops) {
  ops.attention_forward = [](AttentionDims d, const T* q, const T* k, const T* v,
                             const uint32_t* first_row, T* y, float* lse) {
    Forward(TasksOf<kVariant, T>(), ForwardCall<T>{d, q, k, v, first_row, y, lse});
  };
  ops.attention_backward_scratch = Scratch;
  ops.attention_backward = [](AttentionDims d, const T* q, const T* k, const T* v, const T* y,
                              const float* lse, const T* dy, Grad<T> dq, Grad<T> dk, Grad<T> dv,
                              void* scratch) {
    Backward(TasksOf<kVariant, T>(),
             BackwardCall<T>{d, q, k, v, y, lse, dy, dq, dk, dv, static_cast<float*>(scratch)});
  };
}

template <Variant kVariant>
void FillFor(KernelTable& table) {
  FillOps<kVariant>(table.f32);
  FillOps<kVariant>(table.b16);
}

}  // namespace

void FillAttention(Variant variant, KernelTable& table) {
  switch (variant) {
    case Variant::kAmx:
      return FillFor<Variant::kAmx>(table);
    case Variant::kAvx512Bf16:
      return FillFor<Variant::kAvx512Bf16>(table);
    case Variant::kAvx512:
      return FillFor<Variant::kAvx512>(table);
    case Variant::kAvx2:
      return FillFor<Variant::kAvx2>(table);
    case Variant::kPortable:
      return FillFor<Variant::kPortable>(table);
  }
}

}  // namespace golf::cpu
