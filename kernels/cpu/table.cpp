#include "kernels/table.h"

#include <hwy/targets.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "kernels/base/check.h"
#include "kernels/cpu/bf16_units.h"
#include "kernels/cpu/gemm_bf16.h"
#include "kernels/cpu/gemm_onednn.h"
#include "kernels/cpu/gemm_outer.h"
#include "kernels/cpu/gemm_widened.h"
#include "kernels/cpu/variant.h"

namespace golf {
namespace cpu {
namespace {

constexpr Variant kAllVariants[] = {Variant::kPortable, Variant::kAvx2, Variant::kAvx512,
                                    Variant::kAvx512Bf16, Variant::kAmx};

bool Supported(Variant variant) {
  switch (variant) {
    case Variant::kPortable:
      return true;
#if HWY_ARCH_X86
    case Variant::kAvx2:
      return (hwy::SupportedTargets() & HWY_AVX2) != 0;
    case Variant::kAvx512:
      return (hwy::SupportedTargets() & HWY_AVX3) != 0;
    case Variant::kAvx512Bf16:
      return Supported(Variant::kAvx512) && HasBf16Vectors();
    case Variant::kAmx:
      return Supported(Variant::kAvx512) && HasMatrixUnit();
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
  if (kVariant == Variant::kAmx) return MakeMatrixUnitGemm(shape);
  if (kVariant == Variant::kAvx512Bf16) return MakeVectorUnitGemm(shape);
  return MakeWidenedGemm(shape, MakeGemm<kVariant>);
}

GemmMaker MakerOf(Variant variant) {
  switch (variant) {
    case Variant::kPortable:
      break;
    case Variant::kAvx2:
      return MakeGemm<Variant::kAvx2>;
    case Variant::kAvx512:
      return MakeGemm<Variant::kAvx512>;
    case Variant::kAvx512Bf16:
      return MakeGemm<Variant::kAvx512Bf16>;
    case Variant::kAmx:
      return MakeGemm<Variant::kAmx>;
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
    case Variant::kAvx512Bf16:
      return "avx512_bf16";
    case Variant::kAmx:
      return "amx";
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
    case Variant::kAvx512Bf16: {
      static const KernelTable avx512_bf16 = MakeTable(Variant::kAvx512Bf16);
      return avx512_bf16;
    }
    case Variant::kAmx: {
      static const KernelTable amx = MakeTable(Variant::kAmx);
      return amx;
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
  return Status(Code::kUsage, std::string("GOLF_CPU=") + forced +
                                  ": expected portable, avx2, avx512, avx512_bf16 or amx");
}

}  // namespace golf
