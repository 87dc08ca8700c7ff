// What network weights belong to, as far as their names and shapes tell.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "kernels/base/tensor_view.h"
#include "trainer/network.h"

namespace golf {

// `network` with every field that names and shapes of the reference scripts' state_dict decide. Value embeddings without a
// place go into the last blocks. The result may fail CheckNetworkConfig.
NetworkConfig InferNetwork(NetworkConfig network, std::span<const TensorView> weights);

// "network.KEY=VALUE" for every such field that differs, in the form of --set.
std::vector<std::string> NetworkChanges(const NetworkConfig& from, const NetworkConfig& to);

}  // namespace golf
