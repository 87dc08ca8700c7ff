#include <vector>

#include "kernels/base/check.h"
#include "kernels/cpu/gemm_onednn.h"
#include "kernels/cpu/parallel.h"

namespace golf::cpu {
namespace {

void Widen(const void* from, std::vector<float>& to) {
  const auto* x = static_cast<const bf16*>(from);
  ParallelRows(to.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) to[i] = ToFloat(x[i]);
  });
}

class WidenedGemm final : public Gemm {
 public:
  explicit WidenedGemm(const GemmShape& s) : shape_(s), a_(s.m * s.k), b_(s.k * s.n) {
    GemmShape floats = s;
    floats.ab = floats.c = Element::kFloat;
    product_ = MakeOneDnnGemm(floats);
    if (s.c == Element::kBf16) c_.resize(s.m * s.n);
  }

  void Run(const void* a, const void* b, void* c) override {
    Widen(a, a_);
    Widen(b, b_);
    if (shape_.c == Element::kFloat) {
      product_->Run(a_.data(), b_.data(), c);
      return;
    }
    if (shape_.add) Widen(c, c_);
    product_->Run(a_.data(), b_.data(), c_.data());
    auto* out = static_cast<bf16*>(c);
    ParallelRows(c_.size(), 1, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) out[i] = FromFloat<bf16>(c_[i]);
    });
  }

 private:
  GemmShape shape_;
  std::unique_ptr<Gemm> product_;
  std::vector<float> a_, b_, c_;
};

}  // namespace

std::unique_ptr<Gemm> MakeWidenedGemm(const GemmShape& shape) {
  GOLF_CHECK(shape.ab ==
             Element::kBf16);  // else there is nothing to widen: floats are always supported
  return std::make_unique<WidenedGemm>(shape);
}

}  // namespace golf::cpu
