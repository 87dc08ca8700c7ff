// Products of bf16 matrices by those of floats, for processors without bf16 instructions.
#pragma once
#include <memory>

#include "kernels/gemm.h"

namespace golf::cpu {

// ab is kBf16. The operands are widened; `make` makes the product of floats.
std::unique_ptr<Gemm> MakeWidenedGemm(const GemmShape& shape, GemmMaker make);

}  // namespace golf::cpu
