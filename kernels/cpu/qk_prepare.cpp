#include "kernels/qk_prepare.h"

#include "kernels/base/check.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"
#include "kernels/limits.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/qk_prepare.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

template <class T>
float HeadInverseRms(QkPrepareDims d, const T* x) {
  const float ss = SumVectors(d.D, [&](size_t i, auto width) HWY_ATTR {
    const V v = Load(x + i, width);
    return hn::Mul(v, v);
  });
  return 1.0F / std::sqrt(ss / static_cast<float>(d.D) + static_cast<float>(d.eps));
}

// Turns the first 2 * half channels; sign -1 turns back. Vectors of at most 8: heads have 8 pairs, not 16.
HWY_INLINE void TurnPairs(size_t half, float sign, const float* cos, const float* sin,
                          float* HWY_RESTRICT u) {
  const hn::CappedTag<float, 8> d;
  constexpr size_t kStep = hn::MaxLanes(d);
  size_t j = 0;
  for (; j + kStep <= half; j += kStep) {
    const auto a = hn::LoadU(d, u + j), b = hn::LoadU(d, u + half + j);
    const auto c = hn::LoadU(d, cos + j), s = hn::Mul(hn::Set(d, sign), hn::LoadU(d, sin + j));
    hn::StoreU(hn::MulAdd(b, s, hn::Mul(a, c)), d, u + j);
    hn::StoreU(hn::NegMulAdd(a, s, hn::Mul(b, c)), d, u + half + j);
  }
  for (; j < half; ++j) {
    const float a = u[j], b = u[half + j], c = cos[j], s = sign * sin[j];
    u[j] = a * c + b * s;
    u[half + j] = b * c - a * s;
  }
}

template <class T>
void QkPrepareForward(QkPrepareDims d, const T* x, const float* gain, const float* cos,
                      const float* sin, const int32_t* position, T* y) {
  GOLF_CHECK(d.D <= kMaxHeadWidth);
  const size_t half = d.R / 2;
  ParallelRows(d.N, d.H * d.D, [&](size_t begin, size_t end) HWY_ATTR {
    alignas(64) float u[kMaxHeadWidth];
    for (size_t n = begin; n < end; ++n) {
      const size_t angles = static_cast<size_t>(position[n]) * half, row = d.H * d.D;
      PrefetchRow(x + n * row, row);
      PrefetchRow(y + n * row, row);
      for (size_t h = 0; h < d.H; ++h) {
        const size_t at = (n * d.H + h) * d.D;
        const V r = hn::Set(D(), HeadInverseRms(d, x + at));
        const V w = hn::Set(D(), gain == nullptr ? 1.0F : gain[h]);
        ForVectors(0, d.D, [&](size_t i, auto width) HWY_ATTR {
          Store(hn::Mul(r, Load(x + at + i, width)), u + i, width);
        });
        TurnPairs(half, 1.0F, cos + angles, sin + angles, u);
        ForVectors(0, d.D, [&](size_t i, auto width) HWY_ATTR {
          Store(hn::Mul(w, Load(u + i, width)), y + at + i, width);
        });
      }
    }
  });
}

// One head of one token; returns its part of dgain[h].
template <class T>
HWY_INLINE float BackwardHead(QkPrepareDims d, const T* x, float gain, const float* cos,
                              const float* sin, const T* dy, Grad<T> dx, size_t at) {
  alignas(64) float g[kMaxHeadWidth];
  ForVectors(0, d.D,
             [&](size_t i, auto width) HWY_ATTR { Store(Load(dy + at + i, width), g + i, width); });
  TurnPairs(d.R / 2, -1.0F, cos, sin, g);
  const float r = HeadInverseRms(d, x + at);
  const float dot = r * SumVectors(d.D, [&](size_t i, auto width) HWY_ATTR {
                      return hn::Mul(Load(g + i, width), Load(x + at + i, width));
                    });
  const V factor = hn::Set(D(), gain * r);
  const V through_r = hn::Set(D(), r * dot / static_cast<float>(d.D));
  ForVectors(0, d.D, [&](size_t i, auto width) HWY_ATTR {
    const V direct = hn::NegMulAdd(through_r, Load(x + at + i, width), Load(g + i, width));
    StoreGrad(hn::Mul(factor, direct), dx, at + i, width);
  });
  return dot;
}

// A gain's gradient is summed by blocks of tokens, whatever the threads.
template <class T>
void QkPrepareBackward(QkPrepareDims d, const T* x, const float* gain, const float* cos,
                       const float* sin, const int32_t* position, const T* dy, Grad<T> dx,
                       float* dgain) {
  GOLF_CHECK(d.D <= kMaxHeadWidth);
  constexpr size_t kBlock = 128;
  const size_t blocks = (d.N + kBlock - 1) / kBlock;
  auto* sums = static_cast<double*>(ThreadWorkspace(blocks * d.H * sizeof(double)));
  std::fill_n(sums, blocks * d.H, 0.0);
  ParallelFor(blocks, 1, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = begin * kBlock; n < std::min(d.N, end * kBlock); ++n) {
      const size_t angles = static_cast<size_t>(position[n]) * (d.R / 2), row = d.H * d.D;
      PrefetchRow(x + n * row, row);
      PrefetchRow(dy + n * row, row);
      for (size_t h = 0; h < d.H; ++h) {
        const float w = gain == nullptr ? 1.0F : gain[h];
        const size_t at = (n * d.H + h) * d.D;
        sums[n / kBlock * d.H + h] +=
            static_cast<double>(BackwardHead(d, x, w, cos + angles, sin + angles, dy, dx, at));
      }
    }
  });
  if (dgain == nullptr) return;
  for (size_t h = 0; h < d.H; ++h) {
    double sum = 0;
    for (size_t b = 0; b < blocks; ++b) sum += sums[b * d.H + h];
    dgain[h] += static_cast<float>(sum);
  }
}

}  // namespace

void FillQkPrepare(KernelTable& table) {
  table.f32.qk_prepare_forward = QkPrepareForward<float>;
  table.f32.qk_prepare_backward = QkPrepareBackward<float>;
  table.b16.qk_prepare_forward = QkPrepareForward<bf16>;
  table.b16.qk_prepare_backward = QkPrepareBackward<bf16>;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillQkPrepare)
#endif
