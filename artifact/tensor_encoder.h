// Encodes the tensors of a network one at a time, with everything that their Hessians have to be asked for prepared once.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "artifact/packing.h"

namespace golf {

class TensorEncoder {
 public:
  // Borrows tensors and Hessians.
  TensorEncoder(const Packing& packing, std::span<const TensorView> tensors,
                const EncodeOptions& options);

  size_t count() const { return jobs_.size(); }
  const TensorView& tensor(size_t i) const { return jobs_[i].tensor; }
  bool is_matrix(size_t i) const { return jobs_[i].tensor.shape.size() == 2; }
  // How the packing stores it as codes; none if it stores it as floats.
  const std::optional<QuantiserSettings>& codes(size_t i) const { return jobs_[i].codes; }
  bool has_feedback(size_t i) const { return jobs_[i].feedback != kNone; }

  // As the packing says, the options' share of a matrix pruned. Errors as in quantise.h.
  Result<EncodedTensor> Encode(size_t i) const;
  // A tensor with codes, or a matrix that the packing stores as floats, as other codes. With `nearest`, as if it had no
  // Hessian.
  Result<EncodedTensor> EncodeAs(size_t i, const QuantiserSettings& settings, double prune,
                                 bool nearest = false) const;
  // The mean squared error of the matrix's outputs (without a Hessian: of its weights) against the weights before
  // pruning, as a share of their mean square; 0 for a tensor of zeros. Not for vectors that the packing stores as floats.
  double ErrorShare(size_t i, const EncodedTensor& encoded) const;

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  struct Job {
    TensorView tensor;
    std::optional<QuantiserSettings> codes;
    Storage storage = Storage::kFloat32;  // without codes
    size_t feedback = kNone;              // index into feedback_ and hessians_
    double energy = 0;                    // of tensors with codes and of matrices
  };
  std::span<const float> HessianOf(const Job& job) const;

  std::vector<Job> jobs_;
  std::vector<std::span<const float>> hessians_;
  std::vector<ColumnFeedback> feedback_;
  double prune_;
  bool makes_up_for_pruning_;  // the reference codes what is left as if it had been all
};

}  // namespace golf
