#include "kernels/muon.h"

#include "tests/kernels/op_check.h"

namespace golf {
namespace {

// The matrix of integers that the references' check values were made of: see PR 598.
std::vector<float> HashedMatrix(uint32_t ordinal, size_t n) {
  std::vector<float> out(n);
  for (uint32_t k = 0; k < n; ++k) {
    uint32_t h = k * 2654435761U + (ordinal + 1) * 2246822519U;
    h ^= h >> 15;
    h *= 2654435761U;
    h ^= h >> 13;
    out[k] = static_cast<float>(h / 4294967296.0 - 0.5);
  }
  return out;
}

TEST(Muon, OrthogonalisesTheReferencesMatrix) {
  for (const KernelTable* table : Tables()) {
    std::vector<float> x = HashedMatrix(3, 24);
    ASSERT_FLOAT_EQ(x[0], 0.23439132F);
    Muon(*table, 6, 4, Element::kFloat).Orthogonalise(5, x.data());
    const double want[] = {0.37705889, 0.36794427, 0.14405253, 0.47253606};
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(x[i], want[i], 2e-6);
    EXPECT_NEAR(std::sqrt(table->optimizer.sum_of_squares(24, x.data())), 1.84044668, 1e-5);
  }
}

TEST(Muon, TallAndWideAreTransposesOfOneAnother) {
  const size_t rows = 90, cols = 33;
  std::vector<float> tall = To<float>(Randoms(rows * cols, 1)), wide(tall.size());
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < cols; ++j) wide[j * rows + i] = tall[i * cols + j];
  const KernelTable& table = *Tables().back();
  Muon(table, rows, cols, Element::kFloat).Orthogonalise(5, tall.data());
  Muon(table, cols, rows, Element::kFloat).Orthogonalise(5, wide.data());
  std::vector<double> want(tall.size());
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < cols; ++j) want[i * cols + j] = wide[j * rows + i];
  ExpectNear(tall, want, 1e-5, "x");
}

TEST(Muon, ThreadsDoNotChangeBits) {
  for (const Element precision : {Element::kFloat, Element::kBf16}) {
    std::vector<float> want;
    for (const int threads : {1, 2, 3}) {
      const WithThreads scope(threads);
      std::vector<float> p = To<float>(Randoms(256 * 128, 1)), buffer(p.size());
      const std::vector<float> g = To<float>(Randoms(p.size(), 2));
      Muon muon(*Tables().back(), 256, 128, precision);
      for (int step = 0; step < 2; ++step)
        muon.Step({0.02F, 0.95F, 0.04F, 5}, g.data(), p.data(), buffer.data());
      if (want.empty()) want = p;
      EXPECT_TRUE(SameBits(p, want)) << threads;
    }
  }
}

}  // namespace
}  // namespace golf
