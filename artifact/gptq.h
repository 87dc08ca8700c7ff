// GPTQ: chooses the codes of a matrix one column after the other and lets the columns that are not coded yet make up for
// each error, as far as the matrix's inputs allow it.
//
//   y = W x,  W (R, C);  H = mean of x x^T over calibration inputs, (C, C).  Sought: codes of least  trace(E H E^T),
//   E = W - code * step, the mean squared error of the outputs.
//
//   H <- H + damping * mean(diag H) * I;  columns in order of diag H;  for each column j of that order:
//     code_j = clamp(round(w_j / step)),  e = (w_j - code_j * step) / F_jj,  w_k -= e * F_jk for all k behind j
//
// kCholesky (Frantar et al. 2022): F = U, upper triangular, U^T U = H^-1, descending order. kReference (PR 1004): F = the whole
// of H^-1, ascending order, which makes up for too much from the second column on; offered to compare with.
//
// Factors are computed in double, columns in fp32. Rows do not depend on one another and are worked on in tiles of fixed
// size: the same bits for any number of threads.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "artifact/encoding.h"
#include "artifact/quantise.h"
#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

enum class GptqMode : uint8_t { kCholesky, kReference };

struct GptqSettings {
  GptqMode mode = GptqMode::kCholesky;
  double damping = 0.01;
  // Columns between two products with the rest of the matrix: speed, and rounding.
  size_t block = 128;
};

// What a Hessian says of the columns. Matrices with the same inputs share it.
struct ColumnFeedback {
  std::vector<uint32_t> order;  // (C): column coded first, second, ...
  std::vector<float> factor;    // (C, C): F above, in that order
  size_t block = 128;
};

// hessian: (C, C), symmetric and finite. Where it has no factor even after damping (it is no mean of squares), Cholesky
// damps ten times more until it has; the reference's diagonal stands in for what never gets one, and is then round to
// nearest.
ColumnFeedback MakeColumnFeedback(std::span<const float> hessian, const GptqSettings& settings);

// The tensor is a matrix of C columns; its steps come from `settings`, a choice per row. Errors as Quantise.
// With `unpruned`, the weights before some became zero in the tensor: those keep the code 0, and what they took from the
// outputs is made up for like any other error (Frantar and Alistarh 2023).
Result<EncodedTensor> QuantiseWithFeedback(const TensorView& tensor,
                                           const QuantiserSettings& settings,
                                           const ColumnFeedback& feedback,
                                           std::span<const float> unpruned = {});

// trace(E H E^T), E = tensor - encoded; with an empty Hessian H = I.
double OutputError(const TensorView& tensor, const EncodedTensor& encoded,
                   std::span<const float> hessian);
// trace(W H W^T): the error of storing nothing.
double OutputEnergy(const TensorView& tensor, std::span<const float> hessian);

}  // namespace golf
