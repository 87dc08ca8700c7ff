// Assembles a schema::ProgramT: declare weights in serialisation order, then append operations.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/base/check.h"
#include "schemas/program_generated.h"

namespace golf {

class ProgramBuilder {
 public:
  using ValueId = uint32_t;

  ProgramBuilder(std::string name, uint32_t vocab_size, uint32_t window) {
    program_->name = std::move(name);
    program_->vocab_size = vocab_size;
    program_->window = window;
  }

  // unread: no operation will read it.
  void DeclareWeight(std::string name, std::vector<uint32_t> shape, bool unread = false) {
    const auto [_, fresh] =
        weight_index_.emplace(name, static_cast<uint32_t>(program_->weights.size()));
    GOLF_CHECK(fresh);
    auto weight = std::make_unique<schema::WeightT>();
    weight->name = std::move(name);
    weight->shape = std::move(shape);
    weight->unread = unread;
    program_->weights.push_back(std::move(weight));
  }

  // Appends `output = operation(inputs; weights)` and returns the output, a value of `width` columns.
  template <class Operation>
  ValueId Add(std::string output, uint32_t width, Operation operation,
              std::initializer_list<ValueId> inputs,
              std::initializer_list<std::string_view> weights = {}) {
    auto step = std::make_unique<schema::StepT>();
    step->operation.Set(std::move(operation));
    step->inputs.assign(inputs);
    for (std::string_view weight : weights) {
      const auto found = weight_index_.find(std::string(weight));
      GOLF_CHECK(found != weight_index_.end());
      step->weights.push_back(found->second);
    }
    const auto id = static_cast<ValueId>(program_->values.size());
    auto value = std::make_unique<schema::ValueT>();
    value->name = std::move(output);
    value->width = width;
    program_->values.push_back(std::move(value));
    step->outputs.push_back(id);
    program_->steps.push_back(std::move(step));
    return id;
  }

  std::unique_ptr<schema::ProgramT> Finish() { return std::move(program_); }

 private:
  std::unique_ptr<schema::ProgramT> program_ = std::make_unique<schema::ProgramT>();
  std::unordered_map<std::string, uint32_t> weight_index_;
};

}  // namespace golf
