#include "tests/golden/kernel_case.h"

#include <stdexcept>

namespace golf::test {
namespace {

void Multiply(const GemmShape& shape, const std::vector<float>& a, const std::vector<float>& b,
              std::vector<float>& c) {
  WholeProduct(CaseKernels().make_gemm(shape)).Run(a.data(), b.data(), c.data());
}

}  // namespace

const KernelTable& CaseKernels() {
  const Result<const KernelTable*> kernels = CpuKernels();
  if (!kernels.ok()) throw std::runtime_error(kernels.status().message());
  return **kernels;
}

std::vector<float> Linear(const GoldenTensor& weight, const std::vector<float>& x) {
  const size_t out = weight.shape()[0], in = weight.shape()[1], rows = x.size() / in;
  std::vector<float> y(rows * out);
  Multiply({rows, out, in, false, true}, x, weight.f32(), y);
  return y;
}

LinearGradients LinearBackward(const GoldenTensor& weight, const std::vector<float>& x,
                               const std::vector<float>& dy) {
  const size_t out = weight.shape()[0], in = weight.shape()[1], rows = x.size() / in;
  LinearGradients g{std::vector<float>(rows * in), std::vector<float>(out * in)};
  Multiply({rows, in, out}, dy, weight.f32(), g.dx);
  Multiply({out, in, rows, true, false}, dy, x, g.dw);
  return g;
}

}  // namespace golf::test
