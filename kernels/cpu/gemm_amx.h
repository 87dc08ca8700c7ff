// Products of bf16 matrices with the matrix unit of x86 processors (AMX).
#pragma once
#include <memory>

#include "kernels/gemm.h"

namespace golf::cpu::amx {

// ab is kBf16; only where Usable() (attention_amx.h).
std::unique_ptr<Gemm> MakeTileGemm(const GemmShape& shape);

}  // namespace golf::cpu::amx
