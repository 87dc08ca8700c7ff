#include "kernels/smear.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/smear.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/columns-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void SmearForward(SmearDims d, const T* x, const float* gate, T* y) {
  ParallelRows(d.B * d.T, d.C, [&](size_t row, size_t row_end) HWY_ATTR {
    ForSlabs(d.C, [&](size_t begin, size_t end) HWY_ATTR {
      const Sigmoids share(gate, begin, end);
      for (size_t n = row; n < row_end; ++n) {
        const bool first = n % d.T == 0;
        ForVectors(begin, end, [&](size_t c, auto width) HWY_ATTR {
          const size_t at = n * d.C + c;
          const V s = share.At(c, width);
          const V own = hn::Mul(hn::Sub(hn::Set(D(), 1.0F), s), Load(x + at, width));
          Store(first ? own : hn::MulAdd(s, Load(x + at - d.C, width), own), y + at, width);
        });
      }
    });
  });
}

template <class T>
void SmearBackward(SmearDims d, const T* x, const float* gate, const T* dy, Grad<T> dx,
                   float* dgate) {
  ForColumnBlocks(d.B * d.T, d.C, {dgate}, [&](Block block, ColumnSums<1>& sums) HWY_ATTR {
    const Sigmoids share(gate, block.begin, block.end);
    for (size_t n = block.row_begin; n < block.row_end; ++n) {
      const bool first = n % d.T == 0, last = (n + 1) % d.T == 0;
      ForVectors(block.begin, block.end, [&](size_t c, auto width) HWY_ATTR {
        const size_t at = n * d.C + c;
        const V s = share.At(c, width);
        const V keep = hn::Sub(hn::Set(D(), 1.0F), s);
        const V g = Load(dy + at, width);
        const V previous = first ? hn::Zero(D()) : Load(x + at - d.C, width);
        const V slope = hn::Mul(s, keep);
        sums.Add(0, c, hn::Mul(hn::Mul(slope, g), hn::Sub(previous, Load(x + at, width))), width);
        const V own = hn::Mul(keep, g);
        StoreGrad(last ? own : hn::MulAdd(s, Load(dy + at + d.C, width), own), dx, at, width);
      });
    }
  });
}

}  // namespace

void FillSmear(KernelTable& table) {
  table.f32.smear_forward = SmearForward<float>;
  table.f32.smear_backward = SmearBackward<float>;
  table.b16.smear_forward = SmearForward<bf16>;
  table.b16.smear_backward = SmearBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillSmear)
#endif
