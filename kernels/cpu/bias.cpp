#include "kernels/bias.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/bias.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/columns-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void BiasForward(RowDims d, const T* x, const float* b, T* y) {
  ParallelRows(d.N, d.C, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = begin; n < end; ++n)
      ForVectors(0, d.C, [&](size_t c, auto width) HWY_ATTR {
        const size_t at = n * d.C + c;
        Store(hn::Add(Load(x + at, width), Load(b + c, width)), y + at, width);
      });
  });
}

template <class T>
void BiasBackward(RowDims d, const T* dy, Grad<T> dx, float* db) {
  ForColumnBlocks(d.N, d.C, {db}, [&](Block block, ColumnSums<1>& sums) HWY_ATTR {
    for (size_t n = block.row_begin; n < block.row_end; ++n)
      ForVectors(block.begin, block.end, [&](size_t c, auto width) HWY_ATTR {
        const size_t at = n * d.C + c;
        const V g = Load(dy + at, width);
        sums.Add(0, c, g, width);
        StoreGrad(g, dx, at, width);
      });
  });
}

}  // namespace

void FillBias(KernelTable& table) {
  table.f32.bias_forward = BiasForward<float>;
  table.f32.bias_backward = BiasBackward<float>;
  table.b16.bias_forward = BiasForward<bf16>;
  table.b16.bias_backward = BiasBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillBias)
#endif
