// The registry: one struct of function pointers per device, filled by hand, chosen once and passed down.
#pragma once
#include <memory>

#include "kernels/base/status.h"
#include "kernels/gemm.h"
#include "kernels/ops.h"
#include "kernels/optimizers.h"

namespace golf {

struct KernelTable {
  const char* device;        // "cpu", "cuda"
  const char* instructions;  // e.g. "avx512": the variant in use, for receipts
  OpKernels<float> f32;
  OpKernels<bf16> b16;
  OptimizerKernels optimizer;
  // Buckets (B, T) of the bigrams of ids (B, T).
  void (*bigram_hash)(BigramHashDims, const int32_t* ids, int32_t* bucket);
  GemmMaker make_gemm;

  template <class T>
  const OpKernels<T>& ops() const {
    if constexpr (sizeof(T) == sizeof(float)) {
      return f32;
    } else {
      return b16;
    }
  }
};

// The CPU's kernels. GOLF_CPU=portable|avx2|avx512|avx512_bf16|amx forces a variant; an unknown or unsupported name is an error.
Result<const KernelTable*> CpuKernels();

// "cpu" or "cuda"; kNoDevice where this build or machine has none.
Result<const KernelTable*> KernelsFor(const char* device);

}  // namespace golf
