#include "kernels/squared_relu.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/squared_relu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/columns-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void SquaredReluForward(SquaredReluDims d, const T* x, const float* scale, const float* bias,
                        T* y) {
  const V slope = hn::Set(D(), static_cast<float>(d.negative_slope));
  ParallelRows(d.N, d.F, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = begin; n < end; ++n)
      ForVectors(0, d.F, [&](size_t c, auto width) HWY_ATTR {
        const size_t at = n * d.F + c;
        const V v = Load(x + at, width);
        const V f = hn::IfThenElse(hn::Gt(v, hn::Zero(D())), v, hn::Mul(slope, v));
        const V square = hn::Mul(f, f);
        Store(scale == nullptr ? square
                               : hn::MulAdd(Load(scale + c, width), square, Load(bias + c, width)),
              y + at, width);
      });
  });
}

template <class T>
void SquaredReluBackward(SquaredReluDims d, const T* x, const float* scale, const T* dy, Grad<T> dx,
                         float* dscale, float* dbias) {
  const V slope = hn::Set(D(), static_cast<float>(d.negative_slope));
  const V one = hn::Set(D(), 1.0F);
  ForColumnBlocks(d.N, d.F, {dscale, dbias}, [&](Block block, ColumnSums<2>& sums) HWY_ATTR {
    for (size_t n = block.row_begin; n < block.row_end; ++n)
      ForVectors(block.begin, block.end, [&](size_t c, auto width) HWY_ATTR {
        const size_t at = n * d.F + c;
        const V v = Load(x + at, width), g = Load(dy + at, width);
        const V derivative = hn::IfThenElse(hn::Gt(v, hn::Zero(D())), one, slope);
        const V f = hn::Mul(derivative, v);
        if (dscale != nullptr) sums.Add(0, c, hn::Mul(hn::Mul(f, f), g), width);
        if (dbias != nullptr) sums.Add(1, c, g, width);
        const V weight = scale == nullptr ? one : Load(scale + c, width);
        const V through = hn::Mul(hn::Mul(hn::Add(f, f), derivative), hn::Mul(weight, g));
        StoreGrad(through, dx, at, width);
      });
  });
}

}  // namespace

void FillSquaredRelu(KernelTable& table) {
  table.f32.squared_relu_forward = SquaredReluForward<float>;
  table.f32.squared_relu_backward = SquaredReluBackward<float>;
  table.b16.squared_relu_forward = SquaredReluForward<bf16>;
  table.b16.squared_relu_backward = SquaredReluBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillSquaredRelu)
#endif
