// Vectors of float read from and written to float or bf16 memory, for the instruction set being compiled.
// Included once per instruction set, after foreach_target.h: hence the toggling guard.
#if defined(GOLF_KERNELS_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GOLF_KERNELS_CPU_SIMD_INL_H_
#undef GOLF_KERNELS_CPU_SIMD_INL_H_
#else
#define GOLF_KERNELS_CPU_SIMD_INL_H_
#endif
#include <hwy/highway.h>

#include <cmath>
#include <cstddef>

#include "kernels/base/bf16.h"
#include "kernels/cpu/bf16_rounding.h"
#include "kernels/ops.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
static_assert(!HWY_HAVE_SCALABLE, "kLanes must be a constant");

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
inline constexpr size_t kLanes = hn::MaxLanes(D());

// How much of a vector exists in memory: all lanes, or the first n (the others read as 0).
struct Full {};
struct Part {
  size_t n;
};

HWY_INLINE V Load(const float* p, Full) { return hn::LoadU(D(), p); }

HWY_INLINE V Load(const bf16* p, Full) {
  const hn::Rebind<uint16_t, D> narrow;
  const hn::Rebind<uint32_t, D> wide;
  const auto bits = hn::LoadU(narrow, reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(wide, bits)));
}

HWY_INLINE void Store(V v, float* p, Full) { hn::StoreU(v, D(), p); }

// Rounds half to even; a NaN stays a NaN. Equal to FromFloat<bf16>.
HWY_INLINE void StoreExact(V v, bf16* p, Full) {
  const hn::Rebind<uint16_t, D> narrow;
  const hn::Rebind<uint32_t, D> wide;
  const hn::Rebind<int32_t, D> wide_signed;
  const auto bits = hn::BitCast(wide, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(wide, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(wide, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(wide, 0x400000));
  const auto chosen = hn::IfThenElse(hn::RebindMask(wide, hn::IsNaN(v)), quiet, rounded);
  const auto upper = hn::BitCast(wide_signed, hn::ShiftRight<16>(chosen));
  hn::StoreU(hn::DemoteTo(narrow, upper), narrow, reinterpret_cast<uint16_t*>(p));
}

// Likewise, but numbers below 2^-126 may become zero: AVX512-BF16 rounds them so. The matrix unit reads them as zeros
// anyway. One instruction instead of ten, written as such because the target's functions may not name it.
HWY_INLINE void Store(V v, bf16* p, Full width) {
#if HWY_TARGET == HWY_AVX3
  if (kRoundsToBf16) {
    __m256i rounded;
    asm("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(v.raw));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), rounded);
    return;
  }
#endif
  StoreExact(v, p, width);
}

template <class T>
HWY_INLINE V Load(const T* p, Part part) {
  HWY_ALIGN T lanes[kLanes] = {};
  for (size_t i = 0; i < part.n; ++i) lanes[i] = p[i];
  return Load(lanes, Full());
}

template <class T>
HWY_INLINE void Store(V v, T* p, Part part) {
  HWY_ALIGN T lanes[kLanes];
  Store(v, lanes, Full());
  for (size_t i = 0; i < part.n; ++i) p[i] = lanes[i];
}

HWY_INLINE void StoreExact(V v, bf16* p, Part part) {
  HWY_ALIGN bf16 lanes[kLanes];
  StoreExact(v, lanes, Full());
  for (size_t i = 0; i < part.n; ++i) p[i] = lanes[i];
}

// p[...] += v.
template <class Width>
HWY_INLINE void Accumulate(V v, float* p, Width width) {
  Store(hn::Add(Load(p, width), v), p, width);
}

// Asks for the row of n elements that comes a few rows after the one at p. Where a row has to be summed up before it can
// be written, the processor does not look ahead that far itself.
template <class T>
HWY_INLINE void PrefetchRow(const T* p, size_t n) {
  constexpr size_t kAhead = 4;
  if (p == nullptr) return;
  for (size_t i = 0; i < n; i += 64 / sizeof(T)) __builtin_prefetch(p + kAhead * n + i);
}

// Writes a gradient to where it belongs.
template <class T, class Width>
HWY_INLINE void StoreGrad(V v, Grad<T> grad, size_t at, Width width) {
  if (grad.data == nullptr) return;
  if (grad.into == Into::kAdd) v = hn::Add(v, Load(grad.data + at, width));
  Store(v, grad.data + at, width);
}

// f(c, width) for the vectors that cover [begin, end).
template <class F>
HWY_INLINE void ForVectors(size_t begin, size_t end, const F& f) {
  size_t c = begin;
  for (; c + kLanes <= end; c += kLanes) f(c, Full());
  if (c < end) f(c, Part{end - c});
}

// sum over [0, n) of f(c, width), whose missing lanes must be 0. Two running sums hide the adder's latency.
template <class F>
HWY_INLINE float SumVectors(size_t n, const F& f) {
  V even = hn::Zero(D()), odd = hn::Zero(D());
  size_t c = 0;
  for (; c + 2 * kLanes <= n; c += 2 * kLanes) {
    even = hn::Add(even, f(c, Full()));
    odd = hn::Add(odd, f(c + kLanes, Full()));
  }
  for (; c + kLanes <= n; c += kLanes) even = hn::Add(even, f(c, Full()));
  if (c < n) odd = hn::Add(odd, f(c, Part{n - c}));
  return hn::GetLane(hn::SumOfLanes(D(), hn::Add(even, odd)));
}

// 1 / (1 + exp(-x)), for parameters: not on anyone's hot path.
inline float Sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
