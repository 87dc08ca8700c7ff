// The GPU's kernels; none.cpp stands in where the build has none.
#pragma once
#include "kernels/table.h"

namespace golf {

Result<const KernelTable*> CudaKernels();

}  // namespace golf
