#include "kernels/table.h"

#include <hwy/targets.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "kernels/base/check.h"
#include "kernels/cpu/attention_amx.h"
#include "kernels/cpu/gemm_amx.h"
#include "kernels/cpu/gemm_onednn.h"
#include "kernels/cpu/gemm_outer.h"
#include "kernels/cpu/gemm_widened.h"
#include "kernels/cpu/variant.h"

namespace golf {
namespace cpu {
namespace {

constexpr Variant kAllVariants[] = {Variant::kPortable, Variant::kAvx2, Variant::kAvx512};

bool Supported(Variant variant) {
  switch (variant) {
    case Variant::kPortable:
      return true;
#if HWY_ARCH_X86
    case Variant::kAvx2:
      return (hwy::SupportedTargets() & HWY_AVX2) != 0;
    case Variant::kAvx512:
      return (hwy::SupportedTargets() & HWY_AVX3) != 0;
#endif
    default:
      return false;
  }
}

template <Variant kVariant>
std::unique_ptr<Gemm> MakeGemm(const GemmShape& shape) {
  if (shape.ab == Element::kFloat) {
    return shape.transpose_a ? MakeOuterGemm(kVariant, shape) : MakeOneDnnGemm(shape);
  }
  if (kVariant == Variant::kAvx512 && amx::Usable()) return amx::MakeTileGemm(shape);
  if (shape.transpose_a || !OneDnnHasBf16()) return MakeWidenedGemm(shape, MakeGemm<kVariant>);
  return MakeOneDnnGemm(shape);
}

GemmMaker MakerOf(Variant variant) {
  switch (variant) {
    case Variant::kAvx512:
      return MakeGemm<Variant::kAvx512>;
    case Variant::kAvx2:
      return MakeGemm<Variant::kAvx2>;
    case Variant::kPortable:
      break;
  }
  return MakeGemm<Variant::kPortable>;
}

KernelTable MakeTable(Variant variant) {
  KernelTable table{};
  table.device = "cpu";
  table.instructions = VariantName(variant);
  table.make_gemm = MakerOf(variant);
  FillAttention(variant, table);
  FillBias(variant, table);
  FillBigramHash(table);
  FillGather(table);
  FillCrossEntropy(variant, table);
  FillElementwise(variant, table);
  FillEmbedding(variant, table);
  FillFakeQuantise(variant, table);
  FillGatedAdd(variant, table);
  FillGatedSkip(variant, table);
  FillGelu(variant, table);
  FillHeadGate(variant, table);
  FillOptimizers(variant, table);
  FillQkPrepare(variant, table);
  FillRmsNorm(variant, table);
  FillSmear(variant, table);
  FillSquaredRelu(variant, table);
  FillXsa(variant, table);
  return table;
}

}  // namespace

const char* VariantName(Variant variant) {
  switch (variant) {
    case Variant::kPortable:
      return "portable";
    case Variant::kAvx2:
      return "avx2";
    case Variant::kAvx512:
      return "avx512";
  }
  return "?";
}

std::vector<Variant> SupportedVariants() {
  std::vector<Variant> supported;
  for (const Variant v : kAllVariants)
    if (Supported(v)) supported.push_back(v);
  return supported;
}

const KernelTable& TableOf(Variant variant) {
  GOLF_CHECK(Supported(variant));  // even filling the table uses the variant's instructions
  switch (variant) {
    case Variant::kPortable:
      break;
    case Variant::kAvx2: {
      static const KernelTable avx2 = MakeTable(Variant::kAvx2);
      return avx2;
    }
    case Variant::kAvx512: {
      static const KernelTable avx512 = MakeTable(Variant::kAvx512);
      return avx512;
    }
  }
  static const KernelTable portable = MakeTable(Variant::kPortable);
  return portable;
}

}  // namespace cpu

Result<const KernelTable*> CpuKernels() {
  const char* forced = std::getenv("GOLF_CPU");
  if (forced == nullptr) return &cpu::TableOf(cpu::SupportedVariants().back());
  for (const cpu::Variant v : cpu::kAllVariants) {
    if (std::strcmp(forced, cpu::VariantName(v)) != 0) continue;
    if (!cpu::Supported(v))
      return Status(
          Code::kUsage,
          std::string("GOLF_CPU=") + forced +
              ": this processor does not have these instructions; unset it or use portable");
    cpu::LimitOneDnn(v);
    return &cpu::TableOf(v);
  }
  return Status(Code::kUsage,
                std::string("GOLF_CPU=") + forced + ": expected portable, avx2 or avx512");
}

}  // namespace golf
