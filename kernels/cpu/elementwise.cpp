#include "kernels/elementwise.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/variant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/columns-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

// A weight per channel, or the one for all.
template <class Width>
HWY_INLINE V Weight(ElementwiseDims d, const float* w, size_t c, Width width) {
  return d.scalar ? hn::Set(D(), w[0]) : Load(w + c, width);
}

// f(at, c, width) for every vector of the matrix: `at` counts elements, c columns.
template <class F>
HWY_INLINE void ForMatrix(ElementwiseDims d, const F& f) {
  ParallelRows(d.N, d.C, [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t n = begin; n < end; ++n)
      ForVectors(0, d.C, [&](size_t c, auto width) HWY_ATTR { f(n * d.C + c, c, width); });
  });
}

template <class T>
void AddForward(ElementwiseDims d, const T* a, const T* b, T* y) {
  ForMatrix(d, [&](size_t at, size_t, auto width) HWY_ATTR {
    Store(hn::Add(Load(a + at, width), Load(b + at, width)), y + at, width);
  });
}

template <class T>
void AddBackward(ElementwiseDims d, const T* dy, Grad<T> da, Grad<T> db) {
  ForMatrix(d, [&](size_t at, size_t, auto width) HWY_ATTR {
    const V v = Load(dy + at, width);
    StoreGrad(v, da, at, width);
    StoreGrad(v, db, at, width);
  });
}

template <class T>
void ScaleForward(ElementwiseDims d, const T* x, const float* w, T* y) {
  ForMatrix(d, [&](size_t at, size_t c, auto width) HWY_ATTR {
    Store(hn::Mul(Weight(d, w, c, width), Load(x + at, width)), y + at, width);
  });
}

template <class T>
void ScaledAddForward(ElementwiseDims d, const T* a, const T* b, const float* w, T* y) {
  ForMatrix(d, [&](size_t at, size_t c, auto width) HWY_ATTR {
    const V sum = hn::MulAdd(Weight(d, w, c, width), Load(b + at, width), Load(a + at, width));
    Store(sum, y + at, width);
  });
}

template <class T>
void MixForward(ElementwiseDims d, const T* a, const T* b, const float* w, T* y) {
  const float* w1 = w + (d.scalar ? 1 : d.C);
  ForMatrix(d, [&](size_t at, size_t c, auto width) HWY_ATTR {
    const V first = hn::Mul(Weight(d, w, c, width), Load(a + at, width));
    Store(hn::MulAdd(Weight(d, w1, c, width), Load(b + at, width), first), y + at, width);
  });
}

// One term w x of a sum: its gradients, given that of the sum.
template <class T>
struct Term {
  const T* x;
  const float* w;
  Grad<T> dx;
  float* dw;
};

// `copy`: where dy goes as it is.
template <class T, size_t kTerms>
void TermsPerChannel(ElementwiseDims d, const T* dy, Grad<T> copy, const Term<T> (&terms)[kTerms]) {
  float* totals[kTerms];
  for (size_t i = 0; i < kTerms; ++i) totals[i] = terms[i].dw;
  ForColumnBlocks(d.N, d.C, totals, [&](Block block, ColumnSums<kTerms>& sums) HWY_ATTR {
    for (size_t n = block.row_begin; n < block.row_end; ++n)
      ForVectors(block.begin, block.end, [&](size_t c, auto width) HWY_ATTR {
        const size_t at = n * d.C + c;
        const V g = Load(dy + at, width);
        StoreGrad(g, copy, at, width);
        for (size_t i = 0; i < kTerms; ++i) {
          const Term<T>& term = terms[i];
          if (term.dw != nullptr) sums.Add(i, c, hn::Mul(g, Load(term.x + at, width)), width);
          StoreGrad(hn::Mul(Load(term.w + c, width), g), term.dx, at, width);
        }
      });
  });
}

template <class T, size_t kTerms>
void TermsWithOneWeight(ElementwiseDims d, const T* dy, Grad<T> copy,
                        const Term<T> (&terms)[kTerms]) {
  float dw[kTerms];
  SumRowChunks<kTerms>(d.N, d.C, dw, [&](size_t n, double* sums) HWY_ATTR {
    for (size_t i = 0; i < kTerms; ++i) {
      const Term<T>& term = terms[i];
      sums[i] += static_cast<double>(SumVectors(d.C, [&](size_t c, auto width) HWY_ATTR {
        const size_t at = n * d.C + c;
        const V g = Load(dy + at, width);
        if (i == 0) StoreGrad(g, copy, at, width);
        StoreGrad(hn::Mul(hn::Set(D(), term.w[0]), g), term.dx, at, width);
        return hn::Mul(g, Load(term.x + at, width));
      }));
    }
  });
  for (size_t i = 0; i < kTerms; ++i)
    if (terms[i].dw != nullptr) *terms[i].dw += dw[i];
}

template <class T, size_t kTerms>
void Terms(ElementwiseDims d, const T* dy, Grad<T> copy, const Term<T> (&terms)[kTerms]) {
  d.scalar ? TermsWithOneWeight(d, dy, copy, terms) : TermsPerChannel(d, dy, copy, terms);
}

template <class T>
void ScaleBackward(ElementwiseDims d, const T* x, const float* w, const T* dy, Grad<T> dx,
                   float* dw) {
  const Term<T> terms[] = {{x, w, dx, dw}};
  Terms(d, dy, Grad<T>{}, terms);
}

template <class T>
void ScaledAddBackward(ElementwiseDims d, const T* b, const float* w, const T* dy, Grad<T> da,
                       Grad<T> db, float* dw) {
  const Term<T> terms[] = {{b, w, db, dw}};
  Terms(d, dy, da, terms);
}

template <class T>
void MixBackward(ElementwiseDims d, const T* a, const T* b, const float* w, const T* dy, Grad<T> da,
                 Grad<T> db, float* dw) {
  const size_t second = d.scalar ? 1 : d.C;
  const Term<T> terms[] = {{a, w, da, dw},
                           {b, w + second, db, dw == nullptr ? nullptr : dw + second}};
  Terms(d, dy, Grad<T>{}, terms);
}

template <class T>
void Fill(OpKernels<T>& ops) {
  ops.add_forward = AddForward<T>;
  ops.add_backward = AddBackward<T>;
  ops.scale_forward = ScaleForward<T>;
  ops.scale_backward = ScaleBackward<T>;
  ops.scaled_add_forward = ScaledAddForward<T>;
  ops.scaled_add_backward = ScaledAddBackward<T>;
  ops.mix_forward = MixForward<T>;
  ops.mix_backward = MixBackward<T>;
}

}  // namespace

void FillElementwise(KernelTable& table) {
  Fill(table.f32);
  Fill(table.b16);
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL(FillElementwise)
#endif
