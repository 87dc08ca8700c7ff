#include "kernels/head_gate.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/head_gate.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void HeadGateForward(HeadGateDims d, const T* x, const T* z, T* y) {
  ParallelRows(d.N, d.H * d.D, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t h = begin * d.H; h < end * d.H; ++h) {
      const V s = hn::Set(D(), Sigmoid(ToFloat(z[h])));
      ForVectors(h * d.D, (h + 1) * d.D, [&](size_t i, auto width) HWY_ATTR {
        Store(hn::Mul(s, Load(x + i, width)), y + i, width);
      });
    }
  });
}

template <class T>
void HeadGateBackward(HeadGateDims d, const T* x, const T* z, const T* dy, Grad<T> dx, Grad<T> dz) {
  ParallelRows(d.N, d.H * d.D, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t h = begin * d.H; h < end * d.H; ++h) {
      const size_t at = h * d.D;
      const float s = Sigmoid(ToFloat(z[h]));
      const float dot = SumVectors(d.D, [&](size_t i, auto width) HWY_ATTR {
        const V g = Load(dy + at + i, width);
        StoreGrad(hn::Mul(hn::Set(D(), s), g), dx, at + i, width);
        return hn::Mul(g, Load(x + at + i, width));
      });
      if (dz.data == nullptr) continue;
      const float before = dz.into == Into::kAdd ? ToFloat(dz.data[h]) : 0.0F;
      dz.data[h] = FromFloat<T>(before + s * (1.0F - s) * dot);
    }
  });
}

}  // namespace

void FillHeadGate(KernelTable& table) {
  table.f32.head_gate_forward = HeadGateForward<float>;
  table.f32.head_gate_backward = HeadGateBackward<float>;
  table.b16.head_gate_forward = HeadGateForward<bf16>;
  table.b16.head_gate_backward = HeadGateBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillHeadGate)
#endif
