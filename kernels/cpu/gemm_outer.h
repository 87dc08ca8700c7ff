// Weight gradients in float: products with a transposed A.
#pragma once
#include <memory>

#include "kernels/cpu/variant.h"
#include "kernels/gemm.h"

namespace golf::cpu {

// ab is kFloat; A is transposed, B is not.
std::unique_ptr<Gemm> MakeOuterGemm(Variant variant, const GemmShape& shape);

}  // namespace golf::cpu
