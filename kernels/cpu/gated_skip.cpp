#include "kernels/gated_skip.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gated_skip.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/columns-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void GatedSkipForward(GatedSkipDims d, const T* x, const T* skip, const float* w, const float* gate,
                      T* y) {
  ParallelRows(d.N, d.C, [&](size_t row, size_t row_end) HWY_ATTR {
    ForSlabs(d.C, [&](size_t begin, size_t end) HWY_ATTR {
      const Sigmoids gates(gate, begin, end);
      for (size_t n = row; n < row_end; ++n)
        ForVectors(begin, end, [&](size_t c, auto width) HWY_ATTR {
          const size_t at = n * d.C + c;
          const V open = gates.At(c, width), shut = hn::Sub(hn::Set(D(), 1.0F), open);
          const V from_skip = hn::Mul(hn::Mul(shut, Load(w + c, width)), Load(skip + at, width));
          Store(hn::MulAdd(open, Load(x + at, width), from_skip), y + at, width);
        });
    });
  });
}

template <class T>
void GatedSkipBackward(GatedSkipDims d, const T* x, const T* skip, const float* w,
                       const float* gate, const T* dy, Grad<T> dx, Grad<T> dskip, float* dw,
                       float* dgate) {
  ForColumnBlocks(d.N, d.C, {dw, dgate}, [&](Block block, ColumnSums<2>& sums) HWY_ATTR {
    const Sigmoids gates(gate, block.begin, block.end);
    for (size_t n = block.row_begin; n < block.row_end; ++n)
      ForVectors(block.begin, block.end, [&](size_t c, auto width) HWY_ATTR {
        const size_t at = n * d.C + c;
        const V open = gates.At(c, width), shut = hn::Sub(hn::Set(D(), 1.0F), open);
        const V weight = Load(w + c, width), from = Load(skip + at, width);
        const V g = Load(dy + at, width);
        const V g_open = hn::Mul(open, g), g_shut = hn::Mul(shut, g);
        sums.Add(0, c, hn::Mul(g_shut, from), width);
        const V difference = hn::NegMulAdd(weight, from, Load(x + at, width));
        sums.Add(1, c, hn::Mul(hn::Mul(g_open, shut), difference), width);
        StoreGrad(g_open, dx, at, width);
        StoreGrad(hn::Mul(weight, g_shut), dskip, at, width);
      });
  });
}

}  // namespace

void FillGatedSkip(KernelTable& table) {
  table.f32.gated_skip_forward = GatedSkipForward<float>;
  table.f32.gated_skip_backward = GatedSkipBackward<float>;
  table.b16.gated_skip_forward = GatedSkipForward<bf16>;
  table.b16.gated_skip_backward = GatedSkipBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillGatedSkip)
#endif
