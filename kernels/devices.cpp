#include <cstring>
#include <string>

#include "kernels/cuda/cuda.h"
#include "kernels/table.h"

namespace golf {

Result<const KernelTable*> KernelsFor(const char* device) {
  if (std::strcmp(device, "cpu") == 0) return CpuKernels();
  if (std::strcmp(device, "cuda") == 0) return CudaKernels();
  return Status(Code::kUsage, std::string("device '") + device + "': expected cpu or cuda");
}

}  // namespace golf
