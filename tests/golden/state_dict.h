// The state dict of a golden case: its tensors sd/<name>.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/tensor_view.h"
#include "tests/support/golden.h"

namespace golf::test {

struct StateDict {
  std::vector<std::string> names;
  std::vector<std::vector<uint32_t>> shapes;
  std::vector<std::vector<float>> data;

  explicit StateDict(const GoldenCase& c) {
    for (const std::string& name : c.Names("sd/")) {
      const GoldenTensor tensor = c.Get(name);
      names.push_back(name.substr(3));
      shapes.emplace_back(tensor.shape().begin(), tensor.shape().end());
      data.push_back(tensor.f32());
    }
  }

  std::vector<TensorView> views() const {
    std::vector<TensorView> v;
    for (size_t i = 0; i < names.size(); ++i) v.push_back({names[i], shapes[i], data[i]});
    return v;
  }
};

}  // namespace golf::test
