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

// The rare rules, row by row as defined: sorting and tanh take more time than vectors could save.
template <class T>
void FakeQuantiseRow(size_t cols, const FakeQuantRule& rule, const float* w, T* y,
                     std::vector<float>& values) {
  values.resize(cols);
  ref::FakeQuantise(1, cols, rule, w, values.data());
  for (size_t j = 0; j < cols; ++j) y[j] = FromFloat<T>(values[j]);
}

template <class T>
void FakeQuantise(size_t rows, size_t cols, const FakeQuantRule& rule, const float* w, T* y) {
  const bool plain = rule.quantile == 1 && rule.sharpness == 0;
  ParallelRows(rows, cols, [&](size_t begin, size_t end) HWY_ATTR {
    const V low = hn::Set(D(), rule.lowest), high = hn::Set(D(), rule.highest);
    std::vector<float> values;
    for (size_t i = begin; i < end; ++i) {
      const float* row = w + i * cols;
      if (!plain) {
        FakeQuantiseRow(cols, rule, row, y + i * cols, values);
        continue;
      }
      V largest = hn::Zero(D());
      ForVectors(0, cols, [&](size_t j, auto width) HWY_ATTR {
        largest = hn::Max(largest, hn::Abs(Load(row + j, width)));
      });
      const float row_max = hn::GetLane(hn::MaxOfLanes(D(), largest));
      const V s = hn::Set(D(), std::max(row_max / rule.divisor, rule.floor));
      ForVectors(0, cols, [&](size_t j, auto width) HWY_ATTR {
        const V v = Load(row + j, width);
        const V q = hn::Min(hn::Max(hn::Round(hn::Div(v, s)), low), high);
        Store(hn::Add(v, hn::Sub(hn::Mul(q, s), v)), y + i * cols + j, width);
      });
    }
  });
}

void FakeQuantiseBackward(size_t rows, size_t cols, const FakeQuantRule& rule, const float* w,
                          float* g) {
  ParallelRows(rows, cols, [&](size_t begin, size_t end) {
    ref::FakeQuantiseBackward(end - begin, cols, rule, w + begin * cols, g + begin * cols);
  });
}

}  // namespace

void FillFakeQuantise(KernelTable& table) {
  table.optimizer.fake_quantise_f32 = FakeQuantise<float>;
  table.optimizer.fake_quantise_bf16 = FakeQuantise<bf16>;
  table.optimizer.fake_quantise_backward = FakeQuantiseBackward;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillFakeQuantise)
#endif
