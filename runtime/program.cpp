#include "runtime/program.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_set>

#include "kernels/base/tensor_view.h"
#include "runtime/operations.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

// Far above any network that fits 16,000,000 bytes, far below what would exhaust memory.
constexpr size_t kMaxSteps = 4096;
constexpr size_t kMaxWeights = 4096;
constexpr uint32_t kMaxWidth = 1U << 18;
constexpr uint32_t kMaxWindow = 1U << 17;
constexpr uint64_t kMaxParameters = 1ULL << 31;
constexpr size_t kMaxNameBytes = 256;  // as in artifacts

Status Bad(std::string text) { return {Code::kBadData, "program: " + std::move(text)}; }

Status CheckNames(const schema::ProgramT& program) {
  if (program.name.size() > kMaxNameBytes) return Bad("its name is too long");
  std::unordered_set<std::string_view> names;
  for (const auto& value : program.values) {
    if (!value || value->name.empty() || !names.insert(value->name).second) {
      return Bad("a value without a name of its own");
    }
    if (value->name.size() > kMaxNameBytes) return Bad("a value whose name is too long");
    if (value->width == 0 || value->width > kMaxWidth) {
      return Bad(fmt::format("value '{}': width {} is out of range", value->name, value->width));
    }
  }
  names.clear();
  uint64_t parameters = 0;
  for (const auto& weight : program.weights) {
    if (!weight || weight->name.empty() || !names.insert(weight->name).second) {
      return Bad("a weight without a name of its own");
    }
    if (weight->name.size() > kMaxNameBytes) return Bad("a weight whose name is too long");
    uint64_t size = 1;
    for (uint32_t d : weight->shape) {
      if (d == 0 || d > (1U << 30) || (size *= d) > kMaxParameters) {
        return Bad(fmt::format("weight '{}': its shape is out of range", weight->name));
      }
    }
    if (weight->shape.size() > 2) {
      return Bad(fmt::format("weight '{}': more than 2 dimensions", weight->name));
    }
    if ((parameters += size) > kMaxParameters) return Bad("too many parameters");
  }
  return {};
}

// Unpacking copies every name and list as often as a table refers to it, and tables may share them: a file of a megabyte
// could ask for gigabytes. An honest one says everything once, so the copies fit into its size.
bool CopiesFit(const schema::Program& program, size_t file_bytes) {
  size_t copied = 0;
  const auto count = [&copied](const auto* list) {
    if (list != nullptr) copied += list->size() * sizeof(*list->data());
  };
  for (const schema::Value* value : *program.values()) count(value->name());
  for (const schema::Weight* weight : *program.weights()) {
    count(weight->name());
    count(weight->shape());
  }
  for (const schema::Step* step : *program.steps()) {
    count(step->inputs());
    count(step->outputs());
    count(step->weights());
  }
  return copied <= file_bytes;
}

}  // namespace

Status CheckProgram(const schema::ProgramT& program) {
  if (program.vocab_size < 2 || program.vocab_size > kMaxWidth) {
    return Bad(fmt::format("vocabulary of {} pieces", program.vocab_size));
  }
  if (program.window == 0 || program.window > kMaxWindow) {
    return Bad(fmt::format("window of {} tokens", program.window));
  }
  if (program.steps.empty() || program.steps.size() > kMaxSteps ||
      program.weights.size() > kMaxWeights || program.values.size() != program.steps.size()) {
    return Bad(fmt::format("{} steps, {} values, {} weights", program.steps.size(),
                           program.values.size(), program.weights.size()));
  }
  GOLF_TRY(CheckNames(program));

  std::vector<uint32_t> widths(program.values.size(), 0);  // 0: not written yet
  std::vector<bool> value_read(program.values.size(), false);
  std::vector<bool> weight_read(program.weights.size(), false);
  std::vector<int> weight_fake_quant(program.weights.size(), -1);
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const auto fail = [&](const std::string& text) {
      return Bad(fmt::format("step {}: {}", s, text));
    };
    if (!program.steps[s] || program.steps[s]->operation.value == nullptr) {
      return fail("an operation this version does not know");
    }
    const schema::StepT& step = *program.steps[s];
    for (uint32_t v : step.inputs) {
      if (v >= widths.size() || widths[v] == 0) return fail("reads a value before it is written");
      value_read[v] = true;
    }
    for (uint32_t w : step.weights) {
      if (w >= weight_read.size()) return fail("names a weight that does not exist");
      weight_read[w] = true;
    }
    if (step.outputs.size() != 1 || step.outputs[0] >= widths.size()) {
      return fail("must write exactly one value");
    }
    const uint32_t out = step.outputs[0];
    if (widths[out] != 0) return fail(fmt::format("writes '{}' again", program.values[out]->name));
    const Result<uint32_t> width = OutputWidth(program, step, widths);
    if (!width.ok()) {
      return fail(fmt::format("{} '{}': {}", TraitsOf(step).name, program.values[out]->name,
                              width.status().message()));
    }
    if (*width != program.values[out]->width) {
      return fail(fmt::format("value '{}': expected width {}, found {}", program.values[out]->name,
                              *width, program.values[out]->width));
    }
    widths[out] = *width;
    if (const auto* linear = step.operation.AsLinear()) {
      int& flag = weight_fake_quant[step.weights[0]];
      if (flag == !linear->fake_quant) return fail("a shared matrix with differing fake_quant");
      flag = linear->fake_quant;
    }
    const bool last = s + 1 == program.steps.size();
    const bool is_loss = step.operation.type == schema::Operation::SoftcapCrossEntropy;
    if (is_loss != last) return fail("SoftcapCrossEntropy must be the last step, and only that");
  }
  const schema::StepT& loss = *program.steps.back();
  value_read[loss.outputs[0]] = true;
  const uint32_t logits = loss.inputs[0];
  for (const auto& step : program.steps) {
    if (step->outputs[0] == logits && step->operation.type != schema::Operation::Linear) {
      return Bad("the logits must come from a Linear step");
    }
    if (step.get() != &loss && std::ranges::find(step->inputs, logits) != step->inputs.end()) {
      return Bad("the logits may be read by SoftcapCrossEntropy only");
    }
  }
  for (size_t v = 0; v < value_read.size(); ++v) {
    if (!value_read[v])
      return Bad(fmt::format("value '{}' is never read", program.values[v]->name));
  }
  for (size_t w = 0; w < weight_read.size(); ++w) {
    if (weight_read[w] == program.weights[w]->unread) {
      return Bad(fmt::format("weight '{}' is {}", program.weights[w]->name,
                             weight_read[w] ? "marked as unread, and read" : "never read"));
    }
  }
  return {};
}

std::vector<uint8_t> SerialiseProgram(const schema::ProgramT& program) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(schema::Program::Pack(builder, &program));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

Result<std::unique_ptr<schema::ProgramT>> ParseProgram(std::span<const uint8_t> span) {
  const std::vector<uint8_t> bytes(span.begin(), span.end());  // FlatBuffers wants them aligned
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), /*max_depth=*/16,
                                 /*max_tables=*/4 * kMaxSteps + 2 * kMaxWeights);
  if (bytes.size() < 8 || !verifier.VerifyBuffer<schema::Program>(nullptr)) {
    return Status(Code::kBadData, "program: its bytes are damaged");
  }
  const auto* root = flatbuffers::GetRoot<schema::Program>(bytes.data());
  if (!CopiesFit(*root, bytes.size())) return Bad("its tables share names or lists");
  std::unique_ptr<schema::ProgramT> program(root->UnPack());
  GOLF_TRY(CheckProgram(*program));
  return program;
}

}  // namespace golf
