#include "kernels/embedding.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/embedding.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void EmbeddingForward(EmbeddingDims d, const int32_t* ids, const float* table, T* y) {
  ParallelRows(d.N, d.C, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = begin; n < end; ++n) {
      const float* row = table + static_cast<size_t>(ids[n]) * d.C;
      ForVectors(0, d.C, [&](size_t c, auto width) HWY_ATTR {
        Store(Load(row + c, width), y + n * d.C + c, width);
      });
    }
  });
}

// Tokens repeat, so threads share columns, not tokens.
template <class T>
void EmbeddingBackward(EmbeddingDims d, const int32_t* ids, const T* dy, float* dtable) {
  if (dtable == nullptr) return;
  ParallelColumns(d.N, d.C, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = 0; n < d.N; ++n) {
      float* row = dtable + static_cast<size_t>(ids[n]) * d.C;
      ForVectors(begin, end, [&](size_t c, auto width) HWY_ATTR {
        Accumulate(Load(dy + n * d.C + c, width), row + c, width);
      });
    }
  });
}

}  // namespace

void FillEmbedding(KernelTable& table) {
  table.f32.embedding_forward = EmbeddingForward<float>;
  table.f32.embedding_backward = EmbeddingBackward<float>;
  table.b16.embedding_forward = EmbeddingForward<bf16>;
  table.b16.embedding_backward = EmbeddingBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillEmbedding)
#endif
