// What the cases of single parts share: the kernels under test, and linear layers made of their products.
#pragma once
#include <vector>

#include "kernels/table.h"
#include "tests/support/golden.h"

namespace golf::test {

// The CPU's kernels (GOLF_CPU chooses the variant).
const KernelTable& CaseKernels();

// y = x W^T for the rows of x; W (O, I) is the tensor's shape.
std::vector<float> Linear(const GoldenTensor& weight, const std::vector<float>& x);

struct LinearGradients {
  std::vector<float> dx, dw;
};
LinearGradients LinearBackward(const GoldenTensor& weight, const std::vector<float>& x,
                               const std::vector<float>& dy);

}  // namespace golf::test
