#include "runtime/hidden_offset.h"

#include <algorithm>
#include <memory>

#include "runtime/program.h"
#include "schemas/program_generated.h"

namespace golf {

Status AddHiddenOffset(schema::ProgramT& program, TensorSet& weights) {
  const uint32_t logits = program.steps.back()->inputs[0];
  auto reader = program.steps.begin();
  while ((*reader)->outputs[0] != logits) ++reader;
  const uint32_t hidden = (*reader)->inputs[0], width = program.values[hidden]->width;

  auto weight = std::make_unique<schema::WeightT>();
  weight->name = kHiddenOffset;
  weight->shape = {width};
  auto sum = std::make_unique<schema::ValueT>();
  sum->name = "hidden_plus_offset";
  sum->width = width;
  auto step = std::make_unique<schema::StepT>();
  step->operation.Set(schema::BiasT{});
  step->inputs = {hidden};
  step->outputs = {static_cast<uint32_t>(program.values.size())};
  step->weights = {static_cast<uint32_t>(program.weights.size())};
  (*reader)->inputs[0] = step->outputs[0];
  program.steps.insert(reader, std::move(step));
  program.values.push_back(std::move(sum));
  program.weights.push_back(std::move(weight));
  GOLF_TRY(CheckProgram(program));

  TensorSet grown(program);
  for (size_t i = 0; i < weights.count(); ++i)
    std::copy(weights[i].begin(), weights[i].end(), grown[i].begin());
  weights = std::move(grown);
  return {};
}

}  // namespace golf
