#include "tests/bench/bench.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

namespace golf::bench {
namespace {

double GemmRate(const KernelTable& table, Element element, double seconds) {
  double best = 0.0;
  // Square, and the two largest products of the network; oneDNN likes different ones in different types.
  for (const GemmShape shape : {GemmShape{1024, 1024, 1024}, GemmShape{2048, 2048, 2048},
                                GemmShape{4096, 1536, 512}, GemmShape{4096, 512, 1536}}) {
    GemmShape s = shape;
    s.ab = s.c = element;
    std::vector<float> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n);
    WholeProduct product(table.make_gemm(s));
    const double time =
        ShortestSeconds(seconds, [&] { product.Run(a.data(), b.data(), c.data()); });
    best = std::max(best, 2.0 * static_cast<double>(s.m * s.n * s.k) / time);
  }
  return best;
}

// y = a + b, all three of `elements` floats.
double ByteRate(const KernelTable& table, size_t elements, double seconds) {
  const ElementwiseDims d{elements / 1024, 1024, false};
  std::vector<float> a(elements, 1.0F), b(elements, 2.0F), y(elements);
  const double time =
      ShortestSeconds(seconds, [&] { table.f32.add_forward(d, a.data(), b.data(), y.data()); });
  return 3.0 * sizeof(float) * static_cast<double>(elements) / time;
}

}  // namespace

double ShortestSeconds(double seconds, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  call();  // pages, caches, kernels that are generated on first use
  double best = 1e30;
  const auto start = Clock::now();
  for (int runs = 0; runs < 3 || since(start) < seconds; ++runs) {
    const auto before = Clock::now();
    call();
    best = std::min(best, since(before));
  }
  return best;
}

Bench::Bench(const KernelTable& table, double seconds, std::string filter)
    : table_(table), seconds_(seconds), filter_(std::move(filter)) {
  for (const Element e : {Element::kFloat, Element::kBf16}) {
    limits_.flops_per_second[static_cast<int>(e)] = GemmRate(table, e, seconds);
  }
  limits_.near_bytes_per_second = ByteRate(table, 2 << 20, seconds);
  limits_.far_bytes_per_second = ByteRate(table, 16 << 20, seconds);
  fmt::print(
      "limits: fp32 GEMM {:.0f} GFLOP/s, bf16 GEMM {:.0f} GFLOP/s, near bytes {:.1f} GB/s, far "
      "bytes "
      "{:.1f} GB/s\n",
      limits_.flops_per_second[0] * 1e-9, limits_.flops_per_second[1] * 1e-9,
      limits_.near_bytes_per_second * 1e-9, limits_.far_bytes_per_second * 1e-9);
}

void Bench::Heading(const std::string& title) const {
  fmt::print("\n{:<58} {:>5} {:>10} {:>9} {:>8} {:>7}  {}\n", title, "type", "time ms", "GFLOP/s",
             "GB/s", "share", "limit");
}

void Bench::Row(const std::string& name, Element element, Work work,
                const std::function<void()>& call) const {
  if (!Wants(name)) return;
  const double time = ShortestSeconds(seconds_, call);
  const double flop_time = work.flops / limits_.flops_per_second[static_cast<int>(element)];
  const bool far = work.bytes > 100e6;
  const double byte_time =
      work.bytes / (far ? limits_.far_bytes_per_second : limits_.near_bytes_per_second);
  fmt::print("{:<58} {:>5} {:>10.3f} {:>9.1f} {:>8.2f} {:>6.0f}%  {}\n", name,
             element == Element::kFloat ? "fp32" : "bf16", time * 1e3, work.flops / time * 1e-9,
             work.bytes / time * 1e-9, 100.0 * std::max(flop_time, byte_time) / time,
             flop_time > byte_time ? "GEMM"
             : far                 ? "far"
                                   : "near");
  std::fflush(stdout);
}

}  // namespace golf::bench
