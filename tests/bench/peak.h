// What oneDNN's matrix product reaches on this machine, with the threads in use: the yardstick of whole passes.
#pragma once
#include <memory>
#include <vector>

#include "kernels/gemm.h"

namespace golf::bench {

struct Rate {
  double per_wall_second = 0, per_cpu_second = 0;  // FLOP; the CPU seconds of all threads together
};

// The best of several shapes. `packed`: oneDNN chooses B's layout and B is brought into it beforehand; else both
// operands are row-major, as most callers have them, and packing is part of the call.
class OneDnnPeak {
 public:
  // Null where oneDNN has no such product: bf16 on processors without AVX-512.
  static std::unique_ptr<OneDnnPeak> Make(Element element, bool packed);
  ~OneDnnPeak();
  OneDnnPeak(const OneDnnPeak&) = delete;
  OneDnnPeak& operator=(const OneDnnPeak&) = delete;
  // Runs every shape once more; the best rates so far.
  Rate Measure();

 private:
  struct Product;
  OneDnnPeak(Element element, bool packed);
  std::vector<std::unique_ptr<Product>> products_;
  Rate best_;
};

}  // namespace golf::bench
