// Matrix products behind the kernel table: C = op(A) op(B), optionally added to C.
#pragma once
#include <cstddef>
#include <memory>

#include "kernels/base/aligned.h"

namespace golf {

enum class Element { kFloat, kBf16 };

// C (m, n) = op(A) (m, k) * op(B) (k, n), row-major. Accumulates in float.
// A is stored (m, k), or (k, m) where transpose_a; B is stored (k, n), or (n, k) where transpose_b. Not both at once.
struct GemmShape {
  size_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  Element ab = Element::kFloat;  // element type of A and B
  Element c = Element::kFloat;   // of C; kFloat where ab is kFloat, or transpose_a
  bool add = false;              // C += instead of C =
};

// One prepared product, in two halves: a weight is packed when it changes and multiplied by many inputs. The memory is
// the caller's, so that a plan can count it: `packed` and `scratch` are 64-byte aligned, and products that do not run
// at the same time may share a scratch. Neither half allocates; no result depends on the number of threads, and a row
// of C depends on no other row of A.
class Gemm {
 public:
  virtual ~Gemm() = default;
  virtual size_t packed_bytes() const = 0;   // B in the layout that Multiply reads
  virtual size_t scratch_bytes() const = 0;  // enough for either half
  virtual void Pack(const void* b, void* packed, void* scratch) = 0;
  virtual void Multiply(const void* a, const void* packed, void* c, void* scratch) = 0;
};

using GemmMaker = std::unique_ptr<Gemm> (*)(const GemmShape&);

// A product with memory of its own, for operands that both change from call to call.
class WholeProduct {
 public:
  explicit WholeProduct(std::unique_ptr<Gemm> gemm);
  void Run(const void* a, const void* b, void* c);
  size_t bytes() const { return AlignUp(gemm_->packed_bytes()) + gemm_->scratch_bytes(); }

 private:
  std::unique_ptr<Gemm> gemm_;
  AlignedBytes memory_;
};

}  // namespace golf
