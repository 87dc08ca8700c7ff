// Products of bf16 matrices on tiles (tile_units.h).
#pragma once
#include <memory>

#include "kernels/gemm.h"

namespace golf::cpu {

// ab is kBf16. By the matrix unit, where HasMatrixUnit(); by the vector units, where HasBf16Vectors() (bf16_units.h).
std::unique_ptr<Gemm> MakeMatrixUnitGemm(const GemmShape& shape);
std::unique_ptr<Gemm> MakeVectorUnitGemm(const GemmShape& shape);

}  // namespace golf::cpu
