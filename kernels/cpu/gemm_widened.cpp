#include "kernels/cpu/gemm_widened.h"

#include <algorithm>

#include "kernels/base/aligned.h"
#include "kernels/base/bf16.h"
#include "kernels/base/check.h"
#include "kernels/cpu/parallel.h"

namespace golf::cpu {
namespace {

void Widen(const void* from, size_t n, float* to) {
  const auto* x = static_cast<const bf16*>(from);
  ParallelRows(n, 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) to[i] = ToFloat(x[i]);
  });
}

GemmShape InFloats(GemmShape s) {
  s.ab = s.c = Element::kFloat;
  return s;
}

// Scratch: A widened (B while it is packed), C where it is bf16, the inner product's.
class WidenedGemm final : public Gemm {
 public:
  WidenedGemm(const GemmShape& s, GemmMaker make)
      : shape_(s),
        product_(make(InFloats(s))),
        operand_bytes_(AlignUp(std::max(s.m, s.n) * s.k * sizeof(float))),
        c_bytes_(s.c == Element::kBf16 ? AlignUp(s.m * s.n * sizeof(float)) : 0) {}

  size_t packed_bytes() const override { return product_->packed_bytes(); }
  size_t scratch_bytes() const override {
    return operand_bytes_ + c_bytes_ + product_->scratch_bytes();
  }

  void Pack(const void* b, void* packed, void* scratch) override {
    auto* wide = static_cast<float*>(scratch);
    Widen(b, shape_.k * shape_.n, wide);
    product_->Pack(wide, packed, Inner(scratch));
  }

  void Multiply(const void* a, const void* packed, void* c, void* scratch) override {
    auto* wide_a = static_cast<float*>(scratch);
    Widen(a, shape_.m * shape_.k, wide_a);
    if (shape_.c == Element::kFloat) return product_->Multiply(wide_a, packed, c, Inner(scratch));
    const size_t n = shape_.m * shape_.n;
    auto* wide_c = reinterpret_cast<float*>(static_cast<std::byte*>(scratch) + operand_bytes_);
    if (shape_.add) Widen(c, n, wide_c);
    product_->Multiply(wide_a, packed, wide_c, Inner(scratch));
    auto* out = static_cast<bf16*>(c);
    ParallelRows(n, 1, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) out[i] = FromFloat<bf16>(wide_c[i]);
    });
  }

 private:
  void* Inner(void* scratch) const {
    return static_cast<std::byte*>(scratch) + operand_bytes_ + c_bytes_;
  }

  GemmShape shape_;
  std::unique_ptr<Gemm> product_;
  size_t operand_bytes_, c_bytes_;
};

}  // namespace

std::unique_ptr<Gemm> MakeWidenedGemm(const GemmShape& shape, GemmMaker make) {
  GOLF_CHECK(shape.ab ==
             Element::kBf16);  // else there is nothing to widen: floats are always supported
  return std::make_unique<WidenedGemm>(shape, make);
}

}  // namespace golf::cpu
