// Weights of a golden case as a TensorSet.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/weights.h"
#include "schemas/program_generated.h"
#include "tests/support/golden.h"

namespace golf::test {

// Loads the tensors `prefix` + weight name of the case; throws if they are not exactly those of the program.
inline TensorSet LoadGoldenWeights(const GoldenCase& c, const std::string& prefix,
                                   const schema::ProgramT& program) {
  std::vector<std::string> names;
  std::vector<std::vector<float>> data;
  std::vector<std::vector<uint32_t>> shapes;
  for (const std::string& name : c.Names(prefix)) {
    const GoldenTensor tensor = c.Get(name);
    // PR 1004's state_dict has a logit temperature, a buffer that its final version sets to 1. We have none.
    if (name == prefix + "inference_temp") {
      if (tensor.f32().at(0) != 1) throw std::runtime_error(name + ": expected 1");
      continue;
    }
    if (tensor.size() == 0)
      continue;  // skips of a network of one block: we have no weight for them
    names.push_back(name.substr(prefix.size()));
    data.push_back(tensor.f32());
    shapes.emplace_back(tensor.shape().begin(), tensor.shape().end());
  }
  std::vector<TensorView> views;
  for (size_t i = 0; i < names.size(); ++i) views.push_back({names[i], shapes[i], data[i]});
  TensorSet weights(program);
  if (const Status s = weights.Load(views); !s.ok()) throw std::runtime_error(s.message());
  return weights;
}

}  // namespace golf::test
