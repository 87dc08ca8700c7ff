// One check for every differentiable operation: the derivative of its definition by complex steps, then each entry of
// each kernel table against the definition, with all that kernels/ops.h promises about gradients and threads.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <complex>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/variant.h"
#include "kernels/table.h"
#include "kernels/threads.h"

namespace golf {

template <class T>
using Tensors = std::vector<std::vector<T>>;

inline std::vector<double> Randoms(size_t n, uint32_t seed, double scale = 1.0) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0.0, scale);
  std::vector<double> values(n);
  for (double& v : values) v = normal(generator);
  return values;
}

template <class T>
std::vector<T> To(const std::vector<double>& values) {
  std::vector<T> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, float>) {
      out[i] = FromFloat<T>(static_cast<float>(values[i]));
    } else {
      out[i] = T(values[i]);
    }
  }
  return out;
}

template <class T>
std::vector<double> ToDouble(const std::vector<T>& values) {
  std::vector<double> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) out[i] = static_cast<double>(ToFloat(values[i]));
  return out;
}

// max |got - want| <= tolerance * max |want|
template <class T>
void ExpectNear(const std::vector<T>& got, const std::vector<double>& want, double tolerance,
                const char* what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double scale = 0, worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    scale = std::max(scale, std::abs(want[i]));
    const double difference = std::abs(static_cast<double>(ToFloat(got[i])) - want[i]);
    if (!(difference <= worst)) {
      worst = difference;
      at = i;
    }
  }
  if (!want.empty()) {
    EXPECT_LE(worst, tolerance * scale + 1e-30)
        << what << "[" << at << "]: got " << ToFloat(got[at]) << ", want " << want[at]
        << ", largest " << scale;
  }
}

template <class T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Sets the number of threads for a scope.
class WithThreads {
 public:
  explicit WithThreads(int threads) : before_(Threads()) { SetThreads(threads); }
  ~WithThreads() { SetThreads(before_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int before_;
};

// Every CPU kernel table this machine can run.
inline std::vector<const KernelTable*> Tables() {
  std::vector<const KernelTable*> tables;
  for (const cpu::Variant v : cpu::SupportedVariants()) tables.push_back(&cpu::TableOf(v));
  return tables;
}

// An operation under test (`Op`) has
//   std::vector<size_t> activations, parameters;  element counts of its differentiable inputs
//   size_t outputs;
//   template <class S> void RefForward(const Tensors<S>& x, const Tensors<S>& w, S* y) const;
//   template <class S> void RefBackward(const Tensors<S>& x, const Tensors<S>& w, const S* dy, Tensors<S>& dx,
//                                       Tensors<S>& dw) const;                       adds to dx, dw
//   template <class T> void Forward(const OpKernels<T>&, const Tensors<T>& x, const Tensors<float>& w, T* y) const;
//   template <class T> void Backward(const OpKernels<T>&, const Tensors<T>& x, const Tensors<float>& w, const T* dy,
//                                    const std::vector<Grad<T>>& dx, const std::vector<float*>& dw) const;
template <class S>
Tensors<S> Zeros(const std::vector<size_t>& sizes) {
  Tensors<S> out;
  for (const size_t n : sizes) out.emplace_back(n, S{});
  return out;
}

struct OpInputs {
  Tensors<double> x, w;
  std::vector<double> dy;
};

template <class Op>
OpInputs MakeInputs(const Op& op) {
  OpInputs in;
  uint32_t seed = 1;
  for (const size_t n : op.activations) in.x.push_back(Randoms(n, seed++));
  for (const size_t n : op.parameters) in.w.push_back(Randoms(n, seed++));
  in.dy = Randoms(op.outputs, seed);
  return in;
}

// d(sum dy y)/d(input) by complex steps: exact to rounding, no step size to tune.
template <class Op>
void CheckDerivative(const Op& op) {
  using C = std::complex<double>;
  constexpr double kStep = 1e-40;
  OpInputs in = MakeInputs(op);
  Tensors<double> dx = Zeros<double>(op.activations), dw = Zeros<double>(op.parameters);
  op.template RefBackward<double>(in.x, in.w, in.dy.data(), dx, dw);
  Tensors<C> x, w;
  for (const auto& t : in.x) x.push_back(To<C>(t));
  for (const auto& t : in.w) w.push_back(To<C>(t));
  std::vector<C> y(op.outputs);
  const auto check = [&](Tensors<C>& inputs, const Tensors<double>& gradients, const char* what) {
    for (size_t t = 0; t < inputs.size(); ++t) {
      double scale = 0;
      for (const double g : gradients[t]) scale = std::max(scale, std::abs(g));
      EXPECT_GT(scale, 0) << what << " " << t << " has no gradient: the check would be empty";
      for (size_t i = 0; i < inputs[t].size(); ++i) {
        inputs[t][i] += C(0, kStep);
        op.template RefForward<C>(x, w, y.data());
        inputs[t][i] -= C(0, kStep);
        double derivative = 0;
        for (size_t k = 0; k < y.size(); ++k) derivative += in.dy[k] * y[k].imag() / kStep;
        ASSERT_NEAR(gradients[t][i], derivative, 1e-12 * scale)
            << what << " " << t << " element " << i;
      }
    }
  };
  check(x, dx, "input");
  check(w, dw, "parameter");
}

struct Tolerances {
  double value;      // y and gradients of activations
  double parameter;  // gradients of parameters
};

template <class T, class Op>
void CheckEntry(const Op& op, const OpKernels<T>& kernels, Tolerances tolerance) {
  OpInputs in = MakeInputs(op);
  Tensors<T> x;
  Tensors<float> w;
  for (auto& t : in.x) t = ToDouble(x.emplace_back(To<T>(t)));
  for (auto& t : in.w) t = ToDouble(w.emplace_back(To<float>(t)));
  const std::vector<T> dy = To<T>(in.dy);
  in.dy = ToDouble(dy);

  std::vector<double> want_y(op.outputs);
  op.template RefForward<double>(in.x, in.w, want_y.data());
  std::vector<T> y(op.outputs, FromFloat<T>(NAN));
  op.template Forward<T>(kernels, x, w, y.data());
  ExpectNear(y, want_y, tolerance.value, "y");

  // What the gradients are added to.
  Tensors<T> base_x;
  Tensors<float> base_w;
  Tensors<double> want_dx = Zeros<double>(op.activations), want_sum, want_dw;
  for (const size_t n : op.activations) base_x.push_back(To<T>(Randoms(n, 77)));
  for (const size_t n : op.parameters)
    want_dw.push_back(ToDouble(base_w.emplace_back(To<float>(Randoms(n, 78)))));
  op.template RefBackward<double>(in.x, in.w, in.dy.data(), want_dx, want_dw);
  for (size_t t = 0; t < want_dx.size(); ++t) {
    std::vector<double>& sum = want_sum.emplace_back(ToDouble(base_x[t]));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += want_dx[t][i];
  }

  const auto backward = [&](Into into, size_t skipped, Tensors<T>* dx, Tensors<float>* dw) {
    *dx = base_x;
    *dw = base_w;
    std::vector<Grad<T>> to_x;
    std::vector<float*> to_w;
    for (auto& t : *dx) to_x.push_back({to_x.size() == skipped ? nullptr : t.data(), into});
    for (auto& t : *dw) to_w.push_back(to_x.size() + to_w.size() == skipped ? nullptr : t.data());
    op.template Backward<T>(kernels, x, w, dy.data(), to_x, to_w);
  };
  const size_t gradients = op.activations.size() + op.parameters.size();
  Tensors<T> dx, dx_sum;
  Tensors<float> dw, dw_again;
  backward(Into::kOverwrite, gradients, &dx, &dw);
  for (size_t t = 0; t < dx.size(); ++t) ExpectNear(dx[t], want_dx[t], tolerance.value, "dx");
  for (size_t t = 0; t < dw.size(); ++t) ExpectNear(dw[t], want_dw[t], tolerance.parameter, "dw");
  backward(Into::kAdd, gradients, &dx_sum, &dw_again);
  for (size_t t = 0; t < dx.size(); ++t)
    ExpectNear(dx_sum[t], want_sum[t], tolerance.value, "dx added");

  for (size_t skipped = 0; skipped < gradients; ++skipped) {
    Tensors<T> some_dx;
    Tensors<float> some_dw;
    backward(Into::kOverwrite, skipped, &some_dx, &some_dw);
    for (size_t t = 0; t < dx.size(); ++t)
      EXPECT_TRUE(SameBits(some_dx[t], t == skipped ? base_x[t] : dx[t]))
          << "without gradient " << skipped;
    for (size_t t = 0; t < dw.size(); ++t)
      EXPECT_TRUE(SameBits(some_dw[t], dx.size() + t == skipped ? base_w[t] : dw[t]))
          << "without gradient " << skipped;
  }

  for (const int threads : {1, 2, 3}) {
    const WithThreads scope(threads);
    std::vector<T> y_again(op.outputs);
    op.template Forward<T>(kernels, x, w, y_again.data());
    EXPECT_TRUE(SameBits(y_again, y)) << threads << " threads, forward";
    Tensors<T> dx_again;
    backward(Into::kOverwrite, gradients, &dx_again, &dw_again);
    for (size_t t = 0; t < dx.size(); ++t)
      EXPECT_TRUE(SameBits(dx_again[t], dx[t])) << threads << " threads, dx";
    for (size_t t = 0; t < dw.size(); ++t)
      EXPECT_TRUE(SameBits(dw_again[t], dw[t])) << threads << " threads, dw";
  }
}

// float: a few roundings of 2^-24, sums of some hundred terms. bf16: the result's rounding, 2^-8 of its size.
template <class Op>
void CheckKernels(const Op& op) {
  for (const KernelTable* table : Tables()) {
    SCOPED_TRACE(std::string(table->instructions) + " float");
    CheckEntry<float>(op, table->f32, {2e-6, 5e-6});
  }
  for (const KernelTable* table : Tables()) {
    SCOPED_TRACE(std::string(table->instructions) + " bf16");
    CheckEntry<bf16>(op, table->b16, {1.0 / 250, 5e-6});
  }
}

}  // namespace golf
