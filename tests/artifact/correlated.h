// A matrix and the Hessian of correlated inputs: a few directions carry most of their size, as in a trained network.
#pragma once
#include <cmath>
#include <random>
#include <vector>

#include "kernels/base/tensor_view.h"

namespace golf::test {

struct Correlated {
  std::vector<uint32_t> shape;
  std::vector<float> weights, hessian;

  Correlated(uint32_t rows, uint32_t width, uint32_t seed) : shape{rows, width} {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, 1.0F);
    for (size_t i = 0; i < size_t{rows} * width; ++i) weights.push_back(0.1F * normal(random));
    const size_t samples = 2 * size_t{width} + 8, hidden = width / 6 + 1;
    std::vector<float> mixing(hidden * width);
    for (float& m : mixing) m = normal(random);
    std::vector<double> sums(size_t{width} * width);
    std::vector<float> x(width);
    for (size_t s = 0; s < samples; ++s) {
      for (float& v : x) v = 0.2F * normal(random);
      for (size_t k = 0; k < hidden; ++k) {
        const float z = normal(random);
        for (size_t c = 0; c < width; ++c) x[c] += z * mixing[k * width + c];
      }
      for (size_t i = 0; i < width; ++i) {
        for (size_t j = 0; j < width; ++j)
          sums[i * width + j] += static_cast<double>(x[i]) * static_cast<double>(x[j]);
      }
    }
    for (const double sum : sums)
      hessian.push_back(static_cast<float>(sum / static_cast<double>(samples)));
  }

  TensorView view() const { return {"m", shape, weights}; }
};

}  // namespace golf::test
