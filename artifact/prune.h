// Magnitude pruning: the smallest weights of a matrix become zero before its codes are chosen (PR 1004).
#pragma once
#include <span>
#include <vector>

namespace golf {

// `w` with every |w| strictly below the `fraction` quantile of all |w| set to zero. fraction 0 changes nothing.
std::vector<float> Pruned(std::span<const float> w, double fraction);

}  // namespace golf
