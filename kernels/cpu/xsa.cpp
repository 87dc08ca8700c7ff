#include "kernels/xsa.h"

#include "kernels/base/check.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"
#include "kernels/limits.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/xsa.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
HWY_INLINE float DotHeads(size_t width, const T* a, const T* b) {
  return SumVectors(width, [&](size_t i, auto part)
                               HWY_ATTR { return hn::Mul(Load(a + i, part), Load(b + i, part)); });
}

struct InverseNorm {
  float value;
  bool clamped;
};

template <class T>
HWY_INLINE InverseNorm InverseNormOf(size_t width, const T* v) {
  constexpr auto kMinNorm = static_cast<float>(ref::kXsaMinNorm);
  const float norm = std::sqrt(DotHeads(width, v, v));
  return norm < kMinNorm ? InverseNorm{1.0F / kMinNorm, true} : InverseNorm{1.0F / norm, false};
}

template <class T>
void XsaForward(XsaDims d, const T* y, const T* v, T* out) {
  const size_t group = d.H / d.K;
  ParallelRows(d.N, d.H * d.D, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t nk = begin * d.K; nk < end * d.K; ++nk) {
      const T* vk = v + nk * d.D;
      const float inverse = InverseNormOf(d.D, vk).value;
      for (size_t h = nk * group; h < (nk + 1) * group; ++h) {
        const T* yh = y + h * d.D;
        const V along = hn::Set(D(), DotHeads(d.D, yh, vk) * inverse * inverse);
        ForVectors(0, d.D, [&](size_t i, auto width) HWY_ATTR {
          Store(hn::NegMulAdd(along, Load(vk + i, width), Load(yh + i, width)), out + h * d.D + i,
                width);
        });
      }
    }
  });
}

template <class T>
void XsaBackward(XsaDims d, const T* y, const T* v, const T* dout, Grad<T> dy, Grad<T> dv) {
  const size_t group = d.H / d.K;
  GOLF_CHECK(group <= kMaxXsaGroup);
  ParallelRows(d.N, d.H * d.D, [&](size_t begin, size_t end) HWY_ATTR {
    float y_along[kMaxXsaGroup], dout_along[kMaxXsaGroup];  // y.u and dout.u, u = v * inverse
    for (size_t nk = begin * d.K; nk < end * d.K; ++nk) {
      const T* vk = v + nk * d.D;
      const InverseNorm inverse = InverseNormOf(d.D, vk);
      float back = 0;  // -(du.u), summed over the group
      for (size_t j = 0; j < group; ++j) {
        const size_t at = (nk * group + j) * d.D;
        y_along[j] = DotHeads(d.D, y + at, vk) * inverse.value;
        dout_along[j] = DotHeads(d.D, dout + at, vk) * inverse.value;
        if (!inverse.clamped) back += 2.0F * y_along[j] * dout_along[j];
        const V along = hn::Set(D(), dout_along[j] * inverse.value);
        ForVectors(0, d.D, [&](size_t i, auto width) HWY_ATTR {
          const V g = hn::NegMulAdd(along, Load(vk + i, width), Load(dout + at + i, width));
          StoreGrad(g, dy, at + i, width);
        });
      }
      if (dv.data == nullptr) continue;
      const V scale = hn::Set(D(), inverse.value), along = hn::Set(D(), back * inverse.value);
      ForVectors(0, d.D, [&](size_t i, auto width) HWY_ATTR {
        V du = hn::Mul(along, Load(vk + i, width));
        for (size_t j = 0; j < group; ++j) {
          const size_t at = (nk * group + j) * d.D + i;
          du = hn::NegMulAdd(hn::Set(D(), dout_along[j]), Load(y + at, width), du);
          du = hn::NegMulAdd(hn::Set(D(), y_along[j]), Load(dout + at, width), du);
        }
        StoreGrad(hn::Mul(scale, du), dv, nk * d.D + i, width);
      });
    }
  });
}

}  // namespace

void FillXsa(KernelTable& table) {
  table.f32.xsa_forward = XsaForward<float>;
  table.f32.xsa_backward = XsaBackward<float>;
  table.b16.xsa_forward = XsaForward<bf16>;
  table.b16.xsa_backward = XsaBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillXsa)
#endif
