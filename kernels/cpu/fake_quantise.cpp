#include "kernels/fake_quantise.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/fake_quantise.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void FakeQuantise(size_t rows, size_t cols, float divisor, float floor, float lowest, float highest,
                  const float* w, T* y) {
  ParallelRows(rows, cols, [&](size_t begin, size_t end) HWY_ATTR {
    const V low = hn::Set(D(), lowest), high = hn::Set(D(), highest);
    for (size_t i = begin; i < end; ++i) {
      const float* row = w + i * cols;
      V largest = hn::Zero(D());
      ForVectors(0, cols, [&](size_t j, auto width) HWY_ATTR {
        largest = hn::Max(largest, hn::Abs(Load(row + j, width)));
      });
      const float row_max = hn::GetLane(hn::MaxOfLanes(D(), largest));
      const V s = hn::Set(D(), std::max(row_max / divisor, floor));
      ForVectors(0, cols, [&](size_t j, auto width) HWY_ATTR {
        const V v = Load(row + j, width);
        const V q = hn::Min(hn::Max(hn::Round(hn::Div(v, s)), low), high);
        Store(hn::Add(v, hn::Sub(hn::Mul(q, s), v)), y + i * cols + j, width);
      });
    }
  });
}

}  // namespace

void FillFakeQuantise(KernelTable& table) {
  table.optimizer.fake_quantise_f32 = FakeQuantise<float>;
  table.optimizer.fake_quantise_bf16 = FakeQuantise<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillFakeQuantise)
#endif
