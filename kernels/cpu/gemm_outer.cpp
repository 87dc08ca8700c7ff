// Products with a transposed A in float, which are weight gradients: C = or += the sum over k of the outer products of
// a row of A (k, m) and a row of B (k, n). Nothing is turned. A block of C stays in registers while kRows numbers of
// each row of A meet kColumns of B; both are copied to where a chunk of k of them lies together, and C collects the
// chunks. The order of an element's sum depends on k alone.
#include "kernels/cpu/gemm_outer.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/check.h"
#include "kernels/cpu/parallel.h"
#include "kernels/threads.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm_outer.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace golf::cpu::HWY_NAMESPACE {
namespace {

constexpr size_t kRows = HWY_TARGET <= HWY_AVX3 ? 12 : 6;  // what the registers hold
constexpr size_t kVectors = 2, kColumns = kVectors * kLanes;
constexpr size_t kChunk = 512;
constexpr size_t kAhead = 8;  // numbers of B to ask for in each step

// Strips [begin, end) of src (count, width): dst [strip - begin][count][kWidth], filled up with zeros. A few rows at a time, so
// that both sides are walked through nearly as they lie in memory.
template <size_t kWidth>
void CopyStrips(const float* src, size_t count, size_t width, size_t begin, size_t end,
                float* dst) {
  constexpr size_t kTogether = 16;
  for (size_t first = 0; first < count; first += kTogether) {
    for (size_t strip = begin; strip < end; ++strip) {
      const size_t column = strip * kWidth;
      for (size_t k = first; k < std::min(count, first + kTogether); ++k) {
        const float* from = src + k * width + column;
        float* to = dst + ((strip - begin) * count + k) * kWidth;
        if (column + kWidth <= width) {
          std::memcpy(to, from, kWidth * sizeof(float));
        } else {
          std::fill(std::copy_n(from, width - column, to), to + kWidth, 0.0F);
        }
      }
    }
  }
}

// c (kRows, kColumns) = or += the outer products of a (steps, kRows) and b (steps, kColumns). On the way steps * kAhead
// numbers from `ahead` on are fetched.
HWY_INLINE void OuterBlock(size_t steps, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                           const float* ahead, bool add, float* HWY_RESTRICT c, size_t c_row) {
  const D d;
  V sum[kRows][kVectors];
#pragma GCC unroll 12
  for (size_t m = 0; m < kRows; ++m) {
    for (size_t n = 0; n < kVectors; ++n) {
      __builtin_prefetch(c + m * c_row + n * kLanes, 1);
      sum[m][n] = hn::Zero(d);
    }
  }
  for (size_t k = 0; k < steps; ++k, a += kRows, b += kColumns) {
    __builtin_prefetch(ahead + k * kAhead, 0, 2);
    V right[kVectors];
    for (size_t n = 0; n < kVectors; ++n) right[n] = hn::Load(d, b + n * kLanes);
#pragma GCC unroll 12
    for (size_t m = 0; m < kRows; ++m) {
      const V left = hn::Set(d, a[m]);
      for (size_t n = 0; n < kVectors; ++n) sum[m][n] = hn::MulAdd(left, right[n], sum[m][n]);
    }
  }
#pragma GCC unroll 12
  for (size_t m = 0; m < kRows; ++m) {
    for (size_t n = 0; n < kVectors; ++n) {
      float* at = c + m * c_row + n * kLanes;
      hn::StoreU(add ? hn::Add(hn::LoadU(d, at), sum[m][n]) : sum[m][n], d, at);
    }
  }
}

class OuterGemm final : public Gemm {
 public:
  explicit OuterGemm(const GemmShape& s)
      : s_(s), panels_((s.m + kRows - 1) / kRows), strips_((s.n + kColumns - 1) / kColumns) {}

  size_t packed_bytes() const override { return s_.k * strips_ * kColumns * sizeof(float); }
  size_t scratch_bytes() const override { return panels_ * ChunkElements() * sizeof(float); }

  void Pack(const void* b, void* packed, void* /*scratch*/) override {
    ParallelRows((s_.k + kChunk - 1) / kChunk, kChunk * s_.n, [&](size_t begin, size_t end) {
      for (size_t k = begin * kChunk; k < std::min(s_.k, end * kChunk); k += kChunk) {
        CopyStrips<kColumns>(static_cast<const float*>(b) + k * s_.n, Count(k), s_.n, 0, strips_,
                             static_cast<float*>(packed) + StripAt(k, 0));
      }
    });
  }

  void Multiply(const void* a, const void* packed, void* c, void* scratch) override {
    auto* panels = static_cast<float*>(scratch);
    ParallelFor(panels_, 1, [&](size_t begin, size_t end) HWY_ATTR {
      // A last chunk is shorter, and threads reach it at different times: their places must not depend on it.
      float* const own = panels + begin * ChunkElements();
      for (size_t k = 0; k < s_.k; k += kChunk) {
        CopyStrips<kRows>(static_cast<const float*>(a) + k * s_.m, Count(k), s_.m, begin, end, own);
        for (size_t strip = 0; strip < strips_; ++strip) {
          for (size_t panel = begin; panel < end; ++panel) {
            // The first panels ask for the next strip.
            const float* b = static_cast<const float*>(packed) + StripAt(k, strip);
            const size_t asked = (panel - begin) * kAhead;
            const bool ask = asked < kColumns && strip + 1 < strips_;
            const float* ahead = ask ? b + Count(k) * (kColumns + asked) : b;
            Add(k, own + (panel - begin) * Count(k) * kRows, b, ahead, panel, strip,
                static_cast<float*>(c));
          }
        }
      }
    });
  }

 private:
  size_t Count(size_t k) const { return std::min(kChunk, s_.k - k); }
  size_t ChunkElements() const { return std::min(s_.k, kChunk) * kRows; }  // of a panel
  size_t StripAt(size_t k, size_t strip) const {
    return k * strips_ * kColumns + strip * Count(k) * kColumns;
  }

  HWY_INLINE void Add(size_t k, const float* a, const float* b, const float* ahead, size_t panel,
                      size_t strip, float* c) const {
    const size_t row = panel * kRows, column = strip * kColumns;
    const size_t rows = std::min(kRows, s_.m - row), columns = std::min(kColumns, s_.n - column);
    const bool add = s_.add || k > 0;
    c += row * s_.n + column;
    if (rows == kRows && columns == kColumns)
      return OuterBlock(Count(k), a, b, ahead, add, c, s_.n);
    float edge[kRows * kColumns];
    OuterBlock(Count(k), a, b, ahead, false, edge, kColumns);
    for (size_t m = 0; m < rows; ++m) {
      for (size_t n = 0; n < columns; ++n)
        c[m * s_.n + n] = edge[m * kColumns + n] + (add ? c[m * s_.n + n] : 0.0F);
    }
  }

  GemmShape s_;
  size_t panels_, strips_;
};

}  // namespace

void FillOuterGemm(GemmMaker& make) {
  make = [](const GemmShape& s) -> std::unique_ptr<Gemm> { return std::make_unique<OuterGemm>(s); };
}

}  // namespace golf::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
GOLF_DEFINE_FILL_OF(GemmMaker, FillOuterGemm)

namespace golf::cpu {

std::unique_ptr<Gemm> MakeOuterGemm(Variant variant, const GemmShape& shape) {
  GOLF_CHECK(shape.transpose_a && !shape.transpose_b && shape.ab == Element::kFloat);
  GemmMaker make = nullptr;
  FillOuterGemm(variant, make);
  return make(shape);
}

}  // namespace golf::cpu
#endif
