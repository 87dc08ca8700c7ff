#include "kernels/gelu.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gelu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

// erf is the C library's, a value at a time: the operation's rows are narrow, its share of a pass small.
HWY_INLINE float NormalDistribution(float x) {
  constexpr auto kInverseSqrt2 = static_cast<float>(1 / std::numbers::sqrt2);
  return 0.5F * (1.0F + std::erf(x * kInverseSqrt2));
}

template <class T>
void GeluForward(RowDims d, const T* x, T* y) {
  ParallelRows(d.N, d.C, [&](size_t begin, size_t end) {
    for (size_t i = begin * d.C; i < end * d.C; ++i) {
      const float v = ToFloat(x[i]);
      y[i] = FromFloat<T>(v * NormalDistribution(v));
    }
  });
}

template <class T>
void GeluBackward(RowDims d, const T* x, const T* dy, Grad<T> dx) {
  constexpr auto kDensityAt0 = static_cast<float>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
  if (dx.data == nullptr) return;
  ParallelRows(d.N, d.C, [&](size_t begin, size_t end) {
    for (size_t i = begin * d.C; i < end * d.C; ++i) {
      const float v = ToFloat(x[i]);
      const float density = kDensityAt0 * std::exp(-0.5F * v * v);
      const float g = (NormalDistribution(v) + v * density) * ToFloat(dy[i]);
      const float before = dx.into == Into::kAdd ? ToFloat(dx.data[i]) : 0.0F;
      dx.data[i] = FromFloat<T>(before + g);
    }
  });
}

}  // namespace

void FillGelu(KernelTable& table) {
  table.f32.gelu_forward = GeluForward<float>;
  table.f32.gelu_backward = GeluBackward<float>;
  table.b16.gelu_forward = GeluForward<bf16>;
  table.b16.gelu_backward = GeluBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillGelu)
#endif
