#include "kernels/rmsnorm.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rmsnorm.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
float RowInverseRms(size_t c, double eps, const T* x) {
  const float ss = SumVectors(c, [&](size_t i, auto width) HWY_ATTR {
    const V v = Load(x + i, width);
    return hn::Mul(v, v);
  });
  return 1.0F / std::sqrt(ss / static_cast<float>(c) + static_cast<float>(eps));
}

template <class T>
void RmsNormForward(RmsNormDims d, const T* x, T* y) {
  ParallelRows(d.N, d.C, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = begin; n < end; ++n) {
      const T* xn = x + n * d.C;
      T* yn = y + n * d.C;
      PrefetchRow(xn, d.C);
      PrefetchRow(yn, d.C);
      const V factor = hn::Set(D(), static_cast<float>(d.scale) * RowInverseRms(d.C, d.eps, xn));
      ForVectors(0, d.C, [&](size_t c, auto width) HWY_ATTR {
        Store(hn::Mul(factor, Load(xn + c, width)), yn + c, width);
      });
    }
  });
}

template <class T>
void RmsNormBackward(RmsNormDims d, const T* x, const T* dy, Grad<T> dx) {
  if (dx.data == nullptr) return;
  ParallelRows(d.N, d.C, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = begin; n < end; ++n) {
      const T* xn = x + n * d.C;
      const T* dyn = dy + n * d.C;
      PrefetchRow(xn, d.C);
      PrefetchRow(dyn, d.C);
      PrefetchRow(dx.data + n * d.C, d.C);
      const float r = RowInverseRms(d.C, d.eps, xn);
      const float dot = SumVectors(d.C, [&](size_t c, auto width) HWY_ATTR {
        return hn::Mul(Load(dyn + c, width), Load(xn + c, width));
      });
      const V factor = hn::Set(D(), static_cast<float>(d.scale) * r);
      const V through_r = hn::Set(D(), dot * r * r / static_cast<float>(d.C));
      ForVectors(0, d.C, [&](size_t c, auto width) HWY_ATTR {
        const V direct = hn::NegMulAdd(through_r, Load(xn + c, width), Load(dyn + c, width));
        StoreGrad(hn::Mul(factor, direct), dx, n * d.C + c, width);
      });
    }
  });
}

}  // namespace

void FillRmsNorm(KernelTable& table) {
  table.f32.rmsnorm_forward = RmsNormForward<float>;
  table.f32.rmsnorm_backward = RmsNormBackward<float>;
  table.b16.rmsnorm_forward = RmsNormForward<bf16>;
  table.b16.rmsnorm_backward = RmsNormBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillRmsNorm)
#endif
