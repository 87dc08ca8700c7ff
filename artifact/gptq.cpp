#include "artifact/gptq.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/base/check.h"
#include "kernels/threads.h"

// Compiled with -ffp-contract=off and EIGEN_DONT_PARALLELIZE (CMakeLists.txt): codes must depend neither on the compiler's
// taste nor on the number of threads. Threads share tiles of rows.

namespace golf {
namespace {

using Eigen::Index;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Tile = Eigen::Map<RowMajor>;
using ConstTile = Eigen::Map<const RowMajor>;

// Rows worked on at once: enough for products at full speed, few enough to stay in the cache.
constexpr size_t kTileRows = 128;
// Starting threads for fewer elements costs more than it saves.
constexpr size_t kWorthThreads = 1 << 14;

inline float RoundHalfToEven(float x) { return (x + 0x1.8p23F) - 0x1.8p23F; }

// The inverse of a lower triangular matrix in its place; what is above the diagonal is left alone.
void InvertLower(Eigen::Ref<Eigen::MatrixXd> m) {
  const Index n = m.rows();
  if (n <= 32) {
    const Eigen::MatrixXd inverse =
        m.triangularView<Eigen::Lower>().solve(Eigen::MatrixXd::Identity(n, n));
    m.triangularView<Eigen::Lower>() = inverse;
    return;
  }
  const Index half = n / 2;
  auto upper = m.topLeftCorner(half, half);
  auto lower = m.bottomRightCorner(n - half, n - half);
  auto below = m.bottomLeftCorner(n - half, half);
  InvertLower(upper);
  InvertLower(lower);
  const Eigen::MatrixXd right = below * upper.triangularView<Eigen::Lower>();
  below.noalias() = -(lower.triangularView<Eigen::Lower>() * right);
}

// The damped Hessian's rows and columns in `order`, last first.
Eigen::MatrixXd Reversed(std::span<const float> hessian, std::span<const uint32_t> order,
                         double damping) {
  const size_t n = order.size();
  Eigen::MatrixXd h(n, n);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = 0; i < n; ++i) {
      h(static_cast<Index>(i), static_cast<Index>(j)) =
          static_cast<double>(hessian[order[n - 1 - i] * n + order[n - 1 - j]]);
    }
    h(static_cast<Index>(j), static_cast<Index>(j)) += damping;
  }
  return h;
}

// U with U^T U = H^-1. H = V V^T with V upper triangular, which is the Cholesky factor of H backwards; U = V^-1.
bool FactorOfInverse(std::span<const float> hessian, std::span<const uint32_t> order,
                     double damping, Eigen::MatrixXd& u) {
  Eigen::MatrixXd h = Reversed(hessian, order, damping);
  Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> cholesky(h);  // in place
  if (cholesky.info() != Eigen::Success) return false;
  InvertLower(h);
  const Index n = h.rows();
  u.setZero(n, n);
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i <= j; ++i) u(i, j) = h(n - 1 - i, n - 1 - j);
  }
  return u.allFinite();
}

// False if an element is too large for a float.
bool Store(const Eigen::MatrixXd& m, std::vector<float>& factor) {
  const auto n = static_cast<size_t>(m.rows());
  factor.resize(n * n);
  Tile stored(factor.data(), m.rows(), m.cols());
  stored = m.cast<float>();
  return stored.allFinite();
}

// A weight in units of the power of two next to its row's step. That changes no code and keeps errors within the range of
// float. A weight more than 2^50 units away from zero is beyond every code.
float InUnits(float w, double unit) {
  constexpr double kFar = 0x1p50;
  return static_cast<float>(std::clamp(double{w} / unit, -kFar, kFar));
}

// Codes the columns [begin, end) of one row, whose weights not coded yet are in `w`; errors[j - begin] is e of column j.
// Columns that are pruned have the code 0.
void CodeBlock(float* w, const uint8_t* pruned, size_t begin, size_t end, float step, float lowest,
               float highest, const ColumnFeedback& feedback, float* errors, int8_t* codes) {
  const size_t n = feedback.order.size();
  for (size_t j = begin; j < end; ++j) {
    const float* f = &feedback.factor[j * n];
    if (!std::isfinite(w[j])) w[j] = 0;  // the reference's factor can let errors grow without bound
    const float nearest = RoundHalfToEven(std::min(std::max(w[j] / step, lowest), highest));
    const float code = pruned[j] != 0 ? 0 : nearest;
    const float e = (w[j] - step * code) / std::max(f[j], 1e-8F);
    for (size_t k = j; k < end; ++k) w[k] -= e * f[k];
    errors[j - begin] = e;
    codes[feedback.order[j]] = static_cast<int8_t>(code);
  }
}

void CodeTile(const TensorView& tensor, std::span<const float> unpruned, size_t first, size_t rows,
              std::span<const float> steps, const Encoding& encoding,
              const ColumnFeedback& feedback, int8_t* codes) {
  const size_t n = feedback.order.size();
  const auto lowest = static_cast<float>(encoding.lowest),
             highest = static_cast<float>(encoding.highest);
  std::vector<float> w(rows * n), errors(rows * feedback.block);
  std::vector<uint8_t> pruned(rows * n);
  const std::span<const float> wanted = unpruned.empty() ? tensor.data : unpruned;
  std::vector<float> units(rows);  // the steps in their rows' units
  for (size_t r = 0; r < rows; ++r) {
    int exponent;
    units[r] = std::frexp(steps[first + r], &exponent);
    const double unit = std::ldexp(1.0, exponent);
    for (size_t j = 0; j < n; ++j) {
      const size_t from = (first + r) * n + feedback.order[j];
      w[r * n + j] = InUnits(wanted[from], unit);
      pruned[r * n + j] = tensor.data[from] != wanted[from] ? 1 : 0;
    }
  }
  for (size_t begin = 0; begin < n; begin += feedback.block) {
    const size_t end = std::min(begin + feedback.block, n), width = end - begin;
    for (size_t r = 0; r < rows; ++r) {
      CodeBlock(&w[r * n], &pruned[r * n], begin, end, units[r], lowest, highest, feedback,
                &errors[r * width], codes + (first + r) * n);
    }
    const auto size = [](size_t x) { return static_cast<Index>(x); };
    const ConstTile f(feedback.factor.data(), size(n), size(n));
    Tile(w.data(), size(rows), size(n)).rightCols(size(n - end)).noalias() -=
        ConstTile(errors.data(), size(rows), size(width)) *
        f.block(size(begin), size(end), size(width), size(n - end));
  }
}

// sum_r x_r H x_r^T over the rows x_r of a matrix that `fill` writes, `rows` rows from `first` on.
template <class Fill>
double QuadraticForm(const TensorView& tensor, std::span<const float> hessian, const Fill& fill) {
  const size_t rows = tensor.shape.size() < 2 ? 1 : tensor.shape[0];
  const size_t n = tensor.data.size() / rows, tiles = (rows + kTileRows - 1) / kTileRows;
  GOLF_CHECK(hessian.empty() || hessian.size() == n * n);
  std::vector<double> sums(tiles);
  ParallelTasks(tiles, tensor.data.size() >= kWorthThreads, [&](size_t tile) {
    const size_t first = tile * kTileRows, count = std::min(kTileRows, rows - first);
    const auto c = static_cast<Index>(count), w = static_cast<Index>(n);
    RowMajor x(c, w);
    fill(first * n, std::span<float>(x.data(), count * n));
    if (hessian.empty()) {
      sums[tile] = x.cast<double>().squaredNorm();
    } else {
      const RowMajor product = x * ConstTile(hessian.data(), w, w);
      sums[tile] = product.cast<double>().cwiseProduct(x.cast<double>()).sum();
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

ColumnFeedback MakeColumnFeedback(std::span<const float> hessian, const GptqSettings& settings) {
  const auto n = static_cast<size_t>(std::lround(std::sqrt(static_cast<double>(hessian.size()))));
  GOLF_CHECK(n > 0 && n * n == hessian.size() && settings.block > 0);
  const bool reference = settings.mode == GptqMode::kReference;
  const auto diagonal = [&](size_t i) { return hessian[i * n + i]; };
  ColumnFeedback feedback{std::vector<uint32_t>(n), {}, settings.block};
  std::iota(feedback.order.begin(), feedback.order.end(), 0U);
  std::stable_sort(feedback.order.begin(), feedback.order.end(), [&](uint32_t a, uint32_t b) {
    return reference ? diagonal(a) < diagonal(b) : diagonal(a) > diagonal(b);
  });
  double mean = 0;
  for (size_t i = 0; i < n; ++i) mean += static_cast<double>(diagonal(i)) / static_cast<double>(n);

  Eigen::MatrixXd u;
  const int attempts = reference ? 1 : 6;
  double damping = settings.damping * mean;
  for (int attempt = 0; attempt < attempts; ++attempt, damping *= 10) {
    if (!FactorOfInverse(hessian, feedback.order, damping, u)) continue;
    if (reference) u = Eigen::MatrixXd(u.transpose().triangularView<Eigen::Lower>() * u);
    if (Store(u, feedback.factor)) return feedback;
  }
  u.setZero(static_cast<Index>(n), static_cast<Index>(n));  // no factor that a float can hold
  for (size_t i = 0; i < n; ++i) {
    const auto at = static_cast<Index>(i);
    u(at, at) = 1 / std::max(static_cast<double>(diagonal(feedback.order[i])), 1e-6);
  }
  Store(u, feedback.factor);
  return feedback;
}

Result<EncodedTensor> QuantiseWithFeedback(const TensorView& tensor,
                                           const QuantiserSettings& settings,
                                           const ColumnFeedback& feedback,
                                           std::span<const float> unpruned) {
  GOLF_CHECK(unpruned.empty() || unpruned.size() == tensor.data.size());
  GOLF_CHECK(tensor.shape.size() == 2 && tensor.shape[1] == feedback.order.size());
  QuantiserSettings per_row = settings;
  per_row.choice = ClipChoice::kPerRow;
  if (per_row.stored_step == StoredStep::kNearest) per_row.stored_step = StoredStep::kNever;
  GOLF_ASSIGN(RowSteps chosen, ChooseSteps(tensor, per_row));
  EncodedTensor encoded = WithSteps(tensor, per_row, chosen);
  const size_t rows = tensor.shape[0], tiles = (rows + kTileRows - 1) / kTileRows;
  chosen.steps.resize(rows, chosen.steps[0]);  // where the tensor has one for all
  auto* codes = reinterpret_cast<int8_t*>(encoded.data.data());
  ParallelTasks(tiles, tensor.data.size() >= kWorthThreads, [&](size_t tile) {
    const size_t first = tile * kTileRows;
    CodeTile(tensor, unpruned, first, std::min(kTileRows, rows - first), chosen.steps,
             settings.encoding, feedback, codes);
  });
  return encoded;
}

double OutputError(const TensorView& tensor, const EncodedTensor& encoded,
                   std::span<const float> hessian) {
  std::vector<float> stored(tensor.data.size());
  Dequantise(encoded, stored);
  return QuadraticForm(tensor, hessian, [&](size_t from, std::span<float> x) {
    for (size_t i = 0; i < x.size(); ++i) x[i] = tensor.data[from + i] - stored[from + i];
  });
}

double OutputEnergy(const TensorView& tensor, std::span<const float> hessian) {
  return QuadraticForm(tensor, hessian, [&](size_t from, std::span<float> x) {
    std::copy_n(tensor.data.begin() + static_cast<ptrdiff_t>(from), x.size(), x.begin());
  });
}

}  // namespace golf
