#include "kernels/optimizers.h"

#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/optimizers.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

// f(i, width) for the vectors of n elements.
template <class F>
HWY_INLINE void ForArray(size_t n, const F& f) {
  ParallelFor(n, 16'384, [&](size_t begin, size_t end) HWY_ATTR { ForVectors(begin, end, f); });
}

V Set(double x) { return hn::Set(D(), static_cast<float>(x)); }

void AdamW(AdamWStep s, size_t n, const float* g, float* p, float* m, float* v) {
  const auto step = static_cast<double>(s.step);
  const V keep = Set(1 - s.lr * s.weight_decay);
  const V step_size = Set(s.lr / (1 - std::pow(s.beta1, step)));
  const V root = Set(std::sqrt(1 - std::pow(s.beta2, step)));
  const V eps = Set(s.eps);
  const V beta1 = Set(s.beta1), rest1 = Set(1 - s.beta1);
  const V beta2 = Set(s.beta2), rest2 = Set(1 - s.beta2);
  ForArray(n, [&](size_t i, auto width) HWY_ATTR {
    const V gi = Load(g + i, width);
    const V mi = hn::MulAdd(beta1, Load(m + i, width), hn::Mul(rest1, gi));
    const V vi = hn::MulAdd(beta2, Load(v + i, width), hn::Mul(rest2, hn::Mul(gi, gi)));
    const V denominator = hn::Add(hn::Div(hn::Sqrt(vi), root), eps);
    const V decayed = hn::Mul(keep, Load(p + i, width));
    Store(mi, m + i, width);
    Store(vi, v + i, width);
    Store(hn::NegMulAdd(step_size, hn::Div(mi, denominator), decayed), p + i, width);
  });
}

void Sgd(SgdStep s, size_t n, const float* g, float* p, float* buffer) {
  const V keep = Set(1 - s.lr * s.weight_decay);
  const V momentum = Set(s.momentum), lr = Set(s.lr);
  ForArray(n, [&](size_t i, auto width) HWY_ATTR {
    const V b = hn::MulAdd(momentum, Load(buffer + i, width), Load(g + i, width));
    Store(b, buffer + i, width);
    Store(hn::NegMulAdd(lr, b, hn::Mul(keep, Load(p + i, width))), p + i, width);
  });
}

void Axpby(size_t n, float a, const float* x, float b, float* y) {
  const V va = hn::Set(D(), a), vb = hn::Set(D(), b);
  ForArray(n, [&](size_t i, auto width) HWY_ATTR {
    Store(hn::MulAdd(va, Load(x + i, width), hn::Mul(vb, Load(y + i, width))), y + i, width);
  });
}

void Ema(size_t n, double decay, const float* p, float* average) {
  Axpby(n, static_cast<float>(1 - decay), p, static_cast<float>(decay), average);
}

void Multiply(size_t n, float factor, float* x) {
  const V f = hn::Set(D(), factor);
  ForArray(n, [&](size_t i, auto width)
                  HWY_ATTR { Store(hn::Mul(f, Load(x + i, width)), x + i, width); });
}

void ToBf16(size_t n, const float* x, bf16* y) {
  ForArray(n, [&](size_t i, auto width) HWY_ATTR { StoreExact(Load(x + i, width), y + i, width); });
}

double SumOfSquaresOf(const float* x, size_t n) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;
  constexpr size_t kStep = hn::MaxLanes(wide);
  auto even = hn::Zero(wide), odd = hn::Zero(wide);
  size_t i = 0;
  for (; i + 2 * kStep <= n; i += 2 * kStep) {
    const auto a = hn::PromoteTo(wide, hn::LoadU(narrow, x + i));
    const auto b = hn::PromoteTo(wide, hn::LoadU(narrow, x + i + kStep));
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  double sum = hn::GetLane(hn::SumOfLanes(wide, hn::Add(even, odd)));
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

// The array is cut into pieces that depend on n alone; their sums are added in order.
double SumOfSquares(size_t n, const float* x) {
  constexpr size_t kPieces = 64;
  const size_t piece = (n + kPieces - 1) / kPieces;
  double sums[kPieces] = {};
  ParallelRows(kPieces, piece, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t i = begin; i < end; ++i) {
      const size_t first = std::min(n, i * piece);
      sums[i] = SumOfSquaresOf(x + first, std::min(n, first + piece) - first);
    }
  });
  double total = 0;
  for (const double s : sums) total += s;
  return total;
}

}  // namespace

void FillOptimizers(KernelTable& table) {
  table.optimizer.adamw = AdamW;
  table.optimizer.sgd = Sgd;
  table.optimizer.axpby = Axpby;
  table.optimizer.ema = Ema;
  table.optimizer.multiply = Multiply;
  table.optimizer.to_bf16 = ToBf16;
  table.optimizer.sum_of_squares = SumOfSquares;
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillOptimizers)
#endif
