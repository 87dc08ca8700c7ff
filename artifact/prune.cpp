#include "artifact/prune.h"

#include <cmath>

#include "artifact/quantise.h"

namespace golf {

std::vector<float> Pruned(std::span<const float> w, double fraction) {
  std::vector<float> pruned(w.begin(), w.end());
  if (fraction <= 0) return pruned;
  const float threshold = MagnitudeQuantile(w, fraction);
  for (float& x : pruned) {
    if (std::fabs(x) < threshold) x = 0;
  }
  return pruned;
}

}  // namespace golf
