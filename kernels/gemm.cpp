#include "kernels/gemm.h"

#include <new>
#include <utility>

namespace golf {

WholeProduct::WholeProduct(std::unique_ptr<Gemm> gemm)
    : gemm_(std::move(gemm)), memory_(AllocateAligned(bytes())) {
  if (memory_ == nullptr) throw std::bad_alloc();
}

void WholeProduct::Run(const void* a, const void* b, void* c) {
  std::byte* scratch = memory_.get() + AlignUp(gemm_->packed_bytes());
  gemm_->Pack(b, memory_.get(), scratch);
  gemm_->Multiply(a, memory_.get(), c, scratch);
}

}  // namespace golf
