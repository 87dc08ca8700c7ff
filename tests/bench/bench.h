// golf-bench: how fast each kernel is, beside what limits it on this machine.
//
// Limits are measured in the same run, with the same threads: the floating point rate of the best oneDNN matrix product
// (one per element type), and the rate of a sum of two arrays, which stay in a large cache (24 MB in all) or do not
// (192 MB). A kernel that does F operations and has to move M bytes cannot take less than max(F / flop rate, M / byte
// rate); its share is that time divided by the time it took. Times are the shortest of many runs: other work on the
// machine only ever adds. It adds to limits, too: shares above 100 % tell of a busy machine.
#pragma once
#include <cstddef>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/table.h"

namespace golf::bench {

struct Limits {
  double flops_per_second[2];    // by Element
  double near_bytes_per_second;  // working sets of some 24 MB
  double far_bytes_per_second;   // of some 192 MB
};

// What one call of a kernel has to do at least.
struct Work {
  double flops = 0.0;
  double bytes = 0.0;
};

class Bench {
 public:
  // Measures the limits. Each figure takes `seconds`; kernels whose row does not contain `filter` are passed over.
  Bench(const KernelTable& table, double seconds, std::string filter);

  const KernelTable& table() const { return table_; }
  bool Wants(const std::string& name) const { return name.find(filter_) != std::string::npos; }
  void Heading(const std::string& title) const;
  // Times `call` and prints its row.
  void Row(const std::string& name, Element element, Work work,
           const std::function<void()>& call) const;

 private:
  const KernelTable& table_;
  double seconds_;
  std::string filter_;
  Limits limits_;
};

// Shortest of as many runs as fit into `seconds`, at least three.
double ShortestSeconds(double seconds, const std::function<void()>& call);

// n normally distributed numbers of type T.
template <class T>
std::vector<T> Normal(size_t n, float scale = 1.0F) {
  std::minstd_rand random(static_cast<unsigned>(n) + 1);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<T> x(n);
  for (T& value : x) value = FromFloat<T>(normal(random));
  return x;
}

template <class T>
constexpr Element ElementOf() {
  return sizeof(T) == sizeof(float) ? Element::kFloat : Element::kBf16;
}

void GemmRows(const Bench& bench);
void AttentionRows(const Bench& bench);
void OpRowsOfAll(const Bench& bench);
void OptimizerRows(const Bench& bench);

}  // namespace golf::bench
