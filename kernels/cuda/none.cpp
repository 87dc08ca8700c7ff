#include "kernels/cuda/cuda.h"

namespace golf {

Result<const KernelTable*> CudaKernels() {
  return Status(Code::kNoDevice, "device 'cuda': this build has no CUDA kernels; use --device cpu");
}

}  // namespace golf
