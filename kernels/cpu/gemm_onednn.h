// Matrix products on the CPU.
#pragma once
#include <memory>

#include "kernels/cpu/variant.h"
#include "kernels/gemm.h"

namespace golf::cpu {

std::unique_ptr<Gemm> MakeOneDnnGemm(const GemmShape& shape);

// bf16 products for processors without bf16 instructions: the operands are widened, the product is one of floats.
std::unique_ptr<Gemm> MakeWidenedGemm(const GemmShape& shape);

// No better instructions than those of the variant. Has an effect only before the first product is made.
void LimitOneDnn(Variant variant);

}  // namespace golf::cpu
