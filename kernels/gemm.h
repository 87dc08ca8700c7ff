// Matrix products behind the kernel table: C = op(A) op(B), optionally added to C.
#pragma once
#include <cstddef>
#include <memory>

namespace golf {

enum class Element { kFloat, kBf16 };

// C (m, n) = op(A) (m, k) * op(B) (k, n), row-major. Accumulates in float.
// A is stored (m, k), or (k, m) where transpose_a; B is stored (k, n), or (n, k) where transpose_b.
struct GemmShape {
  size_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  Element ab = Element::kFloat;  // element type of A and B
  Element c = Element::kFloat;   // of C; kFloat where ab is kFloat
  bool add = false;              // C += instead of C =
};

// One prepared product. Run() neither allocates nor depends on the number of threads in its result.
class Gemm {
 public:
  virtual ~Gemm() = default;
  virtual void Run(const void* a, const void* b, void* c) = 0;
};

}  // namespace golf
