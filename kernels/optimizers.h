// Optimizer updates on flat float arrays, in place. Decay is decoupled and comes first: p <- p (1 - lr * weight_decay).
// Factors are computed in double and rounded to float once: 1 - 0.999 is 0.001 there, and 0.00099999 in float.
#pragma once
#include <cstddef>

#include "kernels/base/bf16.h"

namespace golf {

struct AdamWStep {
  double lr, beta1, beta2, eps, weight_decay;
  long step;
};  // step counts from 1
struct SgdStep {
  double lr, momentum, weight_decay;
};
struct MuonStep {
  double lr, momentum, weight_decay;
  int iterations;
};  // iterations: Newton-Schulz, 5 in the references

// A grid for each row of weights, and how they are rounded to it: kernels/fake_quantise.h has the formulas.
struct FakeQuantRule {
  float divisor, floor, lowest, highest;
  float quantile = 1;  // of the row's magnitudes, for its scale; 1: the largest
  // > 0: soft rounding, the more like a staircase the larger; 0: to the nearest.
  float sharpness = 0;
};

struct OptimizerKernels {
  // m <- b1 m + (1-b1) g; v <- b2 v + (1-b2) g^2; p <- p - lr/(1-b1^n) * m / (sqrt(v)/sqrt(1-b2^n) + eps)
  void (*adamw)(AdamWStep, size_t n, const float* g, float* p, float* m, float* v);
  // buffer <- momentum * buffer + g (the first step starts from a zero buffer); p <- p - lr * buffer
  void (*sgd)(SgdStep, size_t n, const float* g, float* p, float* buffer);
  // average <- decay * average + (1 - decay) * p
  void (*ema)(size_t n, double decay, const float* p, float* average);
  // Sum of squares in double, in an order that only depends on n.
  double (*sum_of_squares)(size_t n, const float* x);
  void (*multiply)(size_t n, float factor, float* x);
  // y <- a x + b y
  void (*axpby)(size_t n, float a, const float* x, float b, float* y);
  // y: w on its rows' grids (kernels/fake_quantise.h), as float or bf16.
  void (*fake_quantise_f32)(size_t rows, size_t cols, const FakeQuantRule&, const float* w,
                            float* y);
  void (*fake_quantise_bf16)(size_t rows, size_t cols, const FakeQuantRule&, const float* w,
                             bf16* y);
  // g, the gradient of y, becomes that of w. For sharpness > 0; straight through there is nothing to do.
  void (*fake_quantise_backward)(size_t rows, size_t cols, const FakeQuantRule&, const float* w,
                                 float* g);
  void (*to_bf16)(size_t n, const float* x, bf16* y);
};

}  // namespace golf
