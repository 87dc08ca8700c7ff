#include "kernels/cross_entropy.h"

#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cross_entropy.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"
// Must follow foreach_target.h.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

// The lanes that do not exist become `fill`.
HWY_INLINE V Valid(V v, float /*fill*/, Full) { return v; }
HWY_INLINE V Valid(V v, float fill, Part part) {
  return hn::IfThenElse(hn::FirstN(D(), part.n), v, hn::Set(D(), fill));
}

// softcap * tanh(z / softcap)
struct Softcap {
  V cap, inverse;
  explicit Softcap(double softcap)
      : cap(hn::Set(D(), static_cast<float>(softcap))),
        inverse(hn::Set(D(), static_cast<float>(1.0 / softcap))) {}
  HWY_INLINE V Tanh(V z) const { return hn::Tanh(D(), hn::Mul(z, inverse)); }
  HWY_INLINE V operator()(V z) const { return hn::Mul(cap, Tanh(z)); }
  HWY_INLINE float operator()(float z) const { return hn::GetLane((*this)(hn::Set(D(), z))); }
};

// The row's maximum; NaN if there is one in the row. (Max and Exp would lose it, and a broken network would look fine.)
float Highest(size_t n, const float* z) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  V highest = hn::Set(D(), kLowest), broken = hn::Zero(D());
  ForVectors(0, n, [&](size_t v, auto width) HWY_ATTR {
    const V value = Load(z + v, width);
    highest = hn::Max(highest, Valid(value, kLowest, width));
    broken = hn::IfThenElse(hn::IsNaN(value), value, broken);
  });
  return hn::GetLane(hn::SumOfLanes(D(), broken)) + hn::GetLane(hn::MaxOfLanes(D(), highest));
}

void CrossEntropyForward(CrossEntropyDims d, const float* z, const int32_t* target, float* nll,
                         float* lse) {
  ParallelRows(d.N, 16 * d.V, [&](size_t begin, size_t end) HWY_ATTR {
    const Softcap softcap(d.softcap);
    for (size_t n = begin; n < end; ++n) {
      const float* row = z + n * d.V;
      const float highest = softcap(Highest(d.V, row));  // the cap is monotone
      const V shift = hn::Set(D(), highest);
      const float sum = SumVectors(d.V, [&](size_t v, auto width) HWY_ATTR {
        const V c = softcap(Load(row + v, width));
        return Valid(hn::Exp(D(), hn::Sub(c, shift)), 0.0F, width);
      });
      const double log_sum = std::log(static_cast<double>(sum)) + static_cast<double>(highest);
      nll[n] = static_cast<float>(log_sum - static_cast<double>(softcap(row[target[n]])));
      if (lse != nullptr) lse[n] = static_cast<float>(log_sum);
    }
  });
}

template <class T>
void CrossEntropyBackward(CrossEntropyDims d, const float* z, const int32_t* target,
                          const float* lse, float dnll, T* dz) {
  ParallelRows(d.N, 16 * d.V, [&](size_t begin, size_t end) HWY_ATTR {
    const Softcap softcap(d.softcap);
    const V upstream = hn::Set(D(), dnll), one = hn::Set(D(), 1.0F);
    for (size_t n = begin; n < end; ++n) {
      const float* row = z + n * d.V;
      const V log_sum = hn::Set(D(), lse[n]);
      // `hit` is 1 for the target, else 0.
      const auto gradient = [&](V logit, V hit) HWY_ATTR {
        const V t = softcap.Tanh(logit);
        const V p = hn::Exp(D(), hn::MulSub(softcap.cap, t, log_sum));
        const V slope = hn::NegMulAdd(t, t, one);
        return hn::Mul(hn::Mul(upstream, hn::Sub(p, hit)), slope);
      };
      ForVectors(0, d.V, [&](size_t v, auto width) HWY_ATTR {
        Store(gradient(Load(row + v, width), hn::Zero(D())), dz + n * d.V + v, width);
      });
      const auto t = static_cast<size_t>(target[n]);
      dz[n * d.V + t] = FromFloat<T>(hn::GetLane(gradient(hn::Set(D(), row[t]), one)));
    }
  });
}

}  // namespace

void FillCrossEntropy(KernelTable& table) {
  table.f32.cross_entropy_forward = CrossEntropyForward;
  table.f32.cross_entropy_backward = CrossEntropyBackward<float>;
  table.b16.cross_entropy_forward = CrossEntropyForward;
  table.b16.cross_entropy_backward = CrossEntropyBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillCrossEntropy)
#endif
