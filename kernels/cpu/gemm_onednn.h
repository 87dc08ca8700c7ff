// Products of float matrices by oneDNN.
#pragma once
#include <memory>

#include "kernels/cpu/variant.h"
#include "kernels/gemm.h"

namespace golf::cpu {

// ab is kFloat, A is not transposed.
std::unique_ptr<Gemm> MakeOneDnnGemm(const GemmShape& shape);

// No better instructions than those of the variant. Has an effect only before the first product is made.
void LimitOneDnn(Variant variant);

}  // namespace golf::cpu
