#include "kernels/gated_add.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gated_add.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/columns-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void GatedAddForward(RowDims d, const T* a, const T* b, const float* gate, T* y) {
  const V s = hn::Set(D(), Sigmoid(*gate));
  ParallelRows(d.N, d.C, [&](size_t begin, size_t end) HWY_ATTR {
    ForVectors(begin * d.C, end * d.C, [&](size_t i, auto width) HWY_ATTR {
      Store(hn::MulAdd(s, Load(b + i, width), Load(a + i, width)), y + i, width);
    });
  });
}

template <class T>
void GatedAddBackward(RowDims d, const T* b, const float* gate, const T* dy, Grad<T> da, Grad<T> db,
                      float* dgate) {
  const float s = Sigmoid(*gate);
  float dot;
  SumRowChunks<1>(d.N, d.C, &dot, [&](size_t n, double* sum) HWY_ATTR {
    *sum += static_cast<double>(SumVectors(d.C, [&](size_t c, auto width) HWY_ATTR {
      const size_t at = n * d.C + c;
      const V g = Load(dy + at, width);
      StoreGrad(g, da, at, width);
      StoreGrad(hn::Mul(hn::Set(D(), s), g), db, at, width);
      return hn::Mul(g, Load(b + at, width));
    }));
  });
  if (dgate != nullptr) *dgate += s * (1.0F - s) * dot;
}

}  // namespace

void FillGatedAdd(KernelTable& table) {
  table.f32.gated_add_forward = GatedAddForward<float>;
  table.f32.gated_add_backward = GatedAddBackward<float>;
  table.b16.gated_add_forward = GatedAddForward<bf16>;
  table.b16.gated_add_backward = GatedAddBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillGatedAdd)
#endif
