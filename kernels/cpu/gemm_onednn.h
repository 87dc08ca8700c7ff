// Matrix products by oneDNN.
#pragma once
#include <memory>

#include "kernels/cpu/variant.h"
#include "kernels/gemm.h"

namespace golf::cpu {

// A is not transposed; ab is kBf16 only where OneDnnHasBf16().
std::unique_ptr<Gemm> MakeOneDnnGemm(const GemmShape& shape);

// Without bf16 instructions oneDNN is several times slower in bf16 than in float, or refuses.
bool OneDnnHasBf16();

// No better instructions than those of the variant. Has an effect only before the first product is made.
void LimitOneDnn(Variant variant);

}  // namespace golf::cpu
