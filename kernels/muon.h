// Muon for one matrix (rows, cols): momentum, Nesterov, Newton-Schulz orthogonalisation, scaled step.
//   buffer <- mu buffer + g;  u = g + mu buffer;  X = u / (|u|_F + 1e-7), transposed if rows > cols
//   `iterations` times: A = X X^T, X <- 3.4445 X + (-4.7750 A + 2.0315 A A) X
//   p <- p (1 - lr wd) - lr sqrt(max(1, rows/cols)) X
// Source: K. Jordan et al., "Muon", 2024; constants as in PR 598.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/optimizers.h"

namespace golf {

struct KernelTable;

// Prepared once per matrix shape (matrices of one shape share it); owns its scratch.
class Muon {
 public:
  // precision: element type of the Newton-Schulz products (the references use bf16).
  Muon(const KernelTable& kernels, size_t rows, size_t cols, Element precision);
  ~Muon();
  // g, p, buffer: rows * cols floats.
  void Step(const MuonStep& step, const float* g, float* p, float* buffer);
  // Newton-Schulz alone: x <- orthogonalised x (before the sqrt factor).
  void Orthogonalise(int iterations, float* x);
  size_t scratch_bytes() const;  // of everything it owns

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::vector<float> update_;
};

}  // namespace golf
