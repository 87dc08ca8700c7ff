// The instruction sets that CPU kernels are compiled for, and how each operation's file enters its kernels in the table.
#pragma once
#include <hwy/detect_compiler_arch.h>

#include <vector>

#include "kernels/table.h"

namespace golf::cpu {

// kAvx512Bf16 and kAmx multiply bf16 matrices and attend to them with instructions made for it (bf16_units.h); all else is
// kAvx512's.
enum class Variant { kPortable, kAvx2, kAvx512, kAvx512Bf16, kAmx };

const char* VariantName(Variant variant);     // "portable", "avx2", "avx512", "avx512_bf16", "amx"
std::vector<Variant> SupportedVariants();     // on this machine, best last
const KernelTable& TableOf(Variant variant);  // one of SupportedVariants()

void FillAttention(Variant variant, KernelTable& table);
void FillBigramHash(KernelTable& table);
void FillBias(Variant variant, KernelTable& table);
void FillGather(KernelTable& table);
void FillCrossEntropy(Variant variant, KernelTable& table);
void FillElementwise(Variant variant, KernelTable& table);
void FillEmbedding(Variant variant, KernelTable& table);
void FillFakeQuantise(Variant variant, KernelTable& table);
void FillGatedAdd(Variant variant, KernelTable& table);
void FillGatedSkip(Variant variant, KernelTable& table);
void FillGelu(Variant variant, KernelTable& table);
void FillHeadGate(Variant variant, KernelTable& table);
void FillOptimizers(Variant variant, KernelTable& table);
void FillQkPrepare(Variant variant, KernelTable& table);
void FillRmsNorm(Variant variant, KernelTable& table);
void FillSmear(Variant variant, KernelTable& table);
void FillSquaredRelu(Variant variant, KernelTable& table);
void FillXsa(Variant variant, KernelTable& table);

}  // namespace golf::cpu

// Defines golf::cpu::name(variant, table) from the functions `name(Table&)` that foreach_target.h compiled, one per
// instruction set, in golf::cpu::HWY_NAMESPACE. Use it once, under HWY_ONCE.
// NOLINTBEGIN(bugprone-macro-parentheses): Table is a type
#if HWY_ARCH_X86
#define GOLF_DEFINE_FILL_OF(Table, name)         \
  namespace golf::cpu {                          \
  void name(Variant variant, Table& table) {     \
    switch (variant) {                           \
      case Variant::kAvx512:                     \
      case Variant::kAvx512Bf16:                 \
      case Variant::kAmx:                        \
        return N_AVX3::name(table);              \
      case Variant::kAvx2:                       \
        return N_AVX2::name(table);              \
      case Variant::kPortable:                   \
        return HWY_STATIC_DISPATCH(name)(table); \
    }                                            \
  }                                              \
  }
#else
#define GOLF_DEFINE_FILL_OF(Table, name)                                              \
  namespace golf::cpu {                                                               \
  void name(Variant /*portable*/, Table& table) { HWY_STATIC_DISPATCH(name)(table); } \
  }
#endif
// NOLINTEND(bugprone-macro-parentheses)
#define GOLF_DEFINE_FILL(name) GOLF_DEFINE_FILL_OF(KernelTable, name)
