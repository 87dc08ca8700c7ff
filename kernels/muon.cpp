#include "kernels/muon.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/table.h"

namespace golf {
namespace {

constexpr float kLinear = 3.4445F, kCubic = -4.7750F, kQuintic = 2.0315F;
constexpr double kNormFloor = 1e-7;

}  // namespace

// X has `rows` x `cols` as stored. Instead of transposing a tall X, its Gram matrix is formed on the other side:
// wide: A = X X^T, X <- (.) X;  tall: A = X^T X, X <- X (.). A is square with the shorter side.
struct Muon::State {
  const KernelTable& kernels;
  size_t rows, cols, side;
  Element precision;
  WholeProduct gram, square, apply;
  std::vector<float> x, next, a, b;  // x and next: rows * cols; a and b: side * side
  std::vector<bf16> x16, a16;        // what the products read in bf16

  State(const KernelTable& k, size_t r, size_t c, Element p)
      : kernels(k),
        rows(r),
        cols(c),
        side(std::min(r, c)),
        precision(p),
        gram(k.make_gemm({side, side, std::max(r, c), r > c, r <= c, p})),
        square(k.make_gemm({side, side, side, false, false, p})),
        apply(k.make_gemm({r, c, side, false, false, p})) {
    x.resize(rows * cols);
    next.resize(rows * cols);
    a.resize(side * side);
    b.resize(side * side);
    if (precision == Element::kBf16) {
      x16.resize(rows * cols);
      a16.resize(side * side);
    }
  }

  size_t bytes() const {
    return (x.size() + next.size() + a.size() + b.size()) * sizeof(float) +
           (x16.size() + a16.size()) * sizeof(bf16) + gram.bytes() + square.bytes() + apply.bytes();
  }

  // The matrix in the element type of the products.
  const void* Operand(const std::vector<float>& matrix, std::vector<bf16>& rounded) const {
    if (precision == Element::kFloat) return matrix.data();
    kernels.optimizer.to_bf16(matrix.size(), matrix.data(), rounded.data());
    return rounded.data();
  }

  void Orthogonalise(int iterations, float* matrix) {
    const OptimizerKernels& op = kernels.optimizer;
    const bool tall = rows > cols;
    const size_t n = rows * cols;
    std::copy(matrix, matrix + n, x.begin());
    const double norm = std::sqrt(op.sum_of_squares(n, x.data()));
    op.multiply(n, static_cast<float>(1.0 / (norm + kNormFloor)), x.data());
    for (int i = 0; i < iterations; ++i) {
      const void* xs = Operand(x, x16);
      gram.Run(xs, xs, a.data());
      const void* as = Operand(a, a16);
      square.Run(as, as, b.data());
      op.axpby(a.size(), kCubic, a.data(), kQuintic, b.data());
      const void* bs = Operand(b, a16);
      apply.Run(tall ? xs : bs, tall ? bs : xs, next.data());
      op.axpby(n, 1.0F, next.data(), kLinear, x.data());
    }
    std::copy(x.begin(), x.end(), matrix);
  }
};

Muon::Muon(const KernelTable& kernels, size_t rows, size_t cols, Element precision)
    : state_(std::make_unique<State>(kernels, rows, cols, precision)), update_(rows * cols) {}

Muon::~Muon() = default;

void Muon::Orthogonalise(int iterations, float* x) { state_->Orthogonalise(iterations, x); }

size_t Muon::scratch_bytes() const { return state_->bytes() + update_.size() * sizeof(float); }

void Muon::Step(const MuonStep& step, const float* g, float* p, float* buffer) {
  const OptimizerKernels& op = state_->kernels.optimizer;
  const size_t n = update_.size();
  const auto momentum = static_cast<float>(step.momentum);
  op.axpby(n, 1.0F, g, momentum, buffer);
  std::copy(g, g + n, update_.begin());
  op.axpby(n, momentum, buffer, 1.0F, update_.data());
  Orthogonalise(step.iterations, update_.data());
  const double aspect = static_cast<double>(state_->rows) / static_cast<double>(state_->cols);
  const double factor = step.lr * std::sqrt(std::max(1.0, aspect));
  op.axpby(n, static_cast<float>(-factor), update_.data(),
           static_cast<float>(1 - step.lr * step.weight_decay), p);
}

}  // namespace golf
