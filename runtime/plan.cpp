#include "runtime/plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "kernels/base/aligned.h"
#include "kernels/base/check.h"
#include "kernels/base/printable.h"
#include "runtime/operations.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

using schema::Operation;

class Planner {
 public:
  Planner(const schema::ProgramT& program, const ExecutorOptions& options,
          size_t (*attention_scratch)(AttentionDims))
      : program_(program),
        options_(options),
        attention_scratch_(attention_scratch),
        steps_(program.steps.size()) {
    plan_.batch = options.batch;
    plan_.length = options.length;
    plan_.wanted_rows = options.scored_rows == 0 ? options.length : options.scored_rows;
    plan_.steps.resize(steps_);
    plan_.value_buffer.assign(program_.values.size(), kNoBuffer);
    plan_.gradient_buffer.assign(program_.values.size(), kNoBuffer);
  }

  Plan Make() {
    FindRows();
    if (training()) FindGradientFlow();
    PlaceValues();
    if (training()) PlaceGradients();
    AssignOffsets();
    return std::move(plan_);
  }

 private:
  bool training() const { return options_.mode == Mode::kTrain; }
  int BackwardTime(size_t step) const { return static_cast<int>(2 * steps_ - 1 - step); }
  int EndOfTime() const { return static_cast<int>(2 * steps_); }
  const schema::StepT& step(size_t s) const { return *program_.steps[s]; }
  const schema::ValueT& value(uint32_t v) const { return *program_.values[v]; }
  size_t RowCount(Rows rows) const {
    return plan_.batch * (rows == Rows::kAll ? plan_.length : plan_.wanted_rows);
  }

  int AddBuffer(std::string name, size_t rows, size_t width, const char* type, size_t element,
                int first, int last) {
    const size_t bytes = AlignUp(rows * width * element);
    plan_.buffers.push_back({std::move(name), rows, width, type, bytes, first, last});
    return static_cast<int>(plan_.buffers.size() - 1);
  }
  int AddActivation(std::string name, size_t rows, size_t width, int first, int last) {
    return options_.precision == Precision::kFp32
               ? AddBuffer(std::move(name), rows, width, "f32", sizeof(float), first, last)
               : AddBuffer(std::move(name), rows, width, "bf16", sizeof(bf16), first, last);
  }
  void KeepUntil(int buffer, int time) {
    int& last = plan_.buffers[buffer].last;
    last = std::max(last, time);
  }

  // Backwards over the list: which rows of each step's output are wanted.
  void FindRows() {
    std::vector<Rows> rows(program_.values.size(), Rows::kWanted);
    const bool all = plan_.wanted_rows == plan_.length;
    for (size_t s = steps_; s-- > 0;) {
      const OperationTraits& traits = TraitsOf(step(s));
      Rows& out = rows[step(s).outputs[0]];
      if (all || traits.makes_all_rows) out = Rows::kAll;
      plan_.steps[s].rows = out;
      for (size_t i = 0; i < step(s).inputs.size(); ++i) {
        if (out == Rows::kAll || (traits.whole_inputs >> i & 1)) {
          rows[step(s).inputs[i]] = Rows::kAll;
        }
      }
    }
  }

  // Forward over the list: a step needs backward if a trainable weight lies at or above it.
  void FindGradientFlow() {
    needs_gradient_.assign(program_.values.size(), false);
    for (size_t s = 0; s < steps_; ++s) {
      bool needed = false;
      for (uint32_t v : step(s).inputs) needed = needed || needs_gradient_[v];
      for (uint32_t w : step(s).weights) needed = needed || options_.trainable[w];
      needs_gradient_[step(s).outputs[0]] = needed;
      plan_.steps[s].backward = needed;
    }
  }

  // Forward: a buffer per value, gathered copies, and what backward wants kept.
  void PlaceValues() {
    const bool keep_all = options_.mode == Mode::kObserve;
    const uint32_t logits = program_.steps.back()->inputs[0];
    std::vector<Rows> rows(program_.values.size(), Rows::kAll);
    std::vector<int> gathered(program_.values.size(), kNoBuffer);
    for (size_t s = 0; s < steps_; ++s) {
      const int time = static_cast<int>(s);
      const OperationTraits& traits = TraitsOf(step(s));
      PlannedStep& planned = plan_.steps[s];
      for (size_t i = 0; i < step(s).inputs.size(); ++i) {
        const uint32_t v = step(s).inputs[i];
        int buffer = plan_.value_buffer[v];
        if (planned.rows == Rows::kWanted && rows[v] == Rows::kAll &&
            !(traits.whole_inputs >> i & 1)) {
          if (gathered[v] == kNoBuffer) {
            gathered[v] = AddActivation(value(v).name + ".wanted", RowCount(Rows::kWanted),
                                        value(v).width, time, time);
            plan_.gathers.push_back({s, buffer, gathered[v]});
            KeepUntil(buffer, time);
          }
          buffer = gathered[v];
        }
        KeepUntil(buffer, time);
        if (planned.backward && (traits.backward_inputs >> i & 1))
          KeepUntil(buffer, BackwardTime(s));
        planned.inputs.push_back(buffer);
      }
      const uint32_t out = step(s).outputs[0];
      rows[out] = planned.rows;
      int last = keep_all ? EndOfTime() : time;
      if (planned.backward && traits.backward_output) last = BackwardTime(s);
      const size_t n = RowCount(planned.rows);
      const bool is_float = out == logits || s + 1 == steps_;
      planned.output = is_float ? AddBuffer(value(out).name, n, value(out).width, "f32", 4, time,
                                            s + 1 == steps_ ? EndOfTime() : last)
                                : AddActivation(value(out).name, n, value(out).width, time, last);
      plan_.value_buffer[out] = planned.output;
      PlaceSaved(s, n);
    }
  }

  void PlaceSaved(size_t s, size_t n) {
    const int time = static_cast<int>(s);
    const int last = plan_.steps[s].backward ? BackwardTime(s) : time;
    const std::string& name = value(step(s).outputs[0]).name;
    PlannedStep& planned = plan_.steps[s];
    if (step(s).operation.type == Operation::HashEmbedding) {
      planned.saved = AddBuffer(name + ".bucket", n, 1, "i32", 4, time, last);
    } else if (!planned.backward) {
      return;
    } else if (const auto* attention = step(s).operation.AsAttention()) {
      planned.saved = AddBuffer(name + ".lse", n, attention->heads, "f32", 4, time, last);
    } else if (step(s).operation.type == Operation::SoftcapCrossEntropy) {
      planned.saved = AddBuffer(name + ".lse", n, 1, "f32", 4, time, last);
    }
  }

  // Backwards over the list: a buffer per gradient; the first use of a value in backward order overwrites it, later ones
  // add. Where an input's gradient equals the output's (residual streams), they share one buffer.
  void PlaceGradients() {
    for (size_t s = steps_; s-- > 0;) {
      PlannedStep& planned = plan_.steps[s];
      if (!planned.backward) continue;
      const int time = BackwardTime(s);
      const OperationTraits& traits = TraitsOf(step(s));
      planned.output_gradient = plan_.gradient_buffer[step(s).outputs[0]];
      if (planned.output_gradient != kNoBuffer) KeepUntil(planned.output_gradient, time);
      PlaceScratch(s, time);
      planned.input_gradients.resize(step(s).inputs.size());
      for (size_t i = 0; i < step(s).inputs.size(); ++i) {
        const uint32_t v = step(s).inputs[i];
        if (!needs_gradient_[v]) continue;
        PlannedGradient& gradient = planned.input_gradients[i];
        int& buffer = plan_.gradient_buffer[v];
        const bool exists = buffer != kNoBuffer;
        if (!exists && traits.pass_through == static_cast<int>(i)) {
          buffer = planned.output_gradient;
          continue;
        }
        if (!exists) {
          buffer =
              AddActivation("d." + value(v).name, RowCount(Rows::kAll), value(v).width, time, time);
        }
        gradient.buffer = buffer;
        gradient.add = exists;
        KeepUntil(buffer, time);
        const bool read_before =
            std::find(step(s).inputs.begin(), step(s).inputs.begin() + static_cast<long>(i), v) !=
            step(s).inputs.begin() + static_cast<long>(i);
        if (read_before) {
          gradient.second = AddActivation("d." + value(v).name + ".second", RowCount(Rows::kAll),
                                          value(v).width, time, time);
        }
      }
    }
  }

  void PlaceScratch(size_t s, int time) {
    const auto* attention = step(s).operation.AsAttention();
    if (attention == nullptr) return;
    const size_t bytes =
        attention_scratch_({plan_.batch, plan_.length, plan_.length, attention->heads,
                            attention->kv_heads, attention->head_dim});
    plan_.steps[s].scratch = AddBuffer(value(step(s).outputs[0]).name + ".scratch", 1,
                                       (bytes + 3) / 4, "f32", 4, time, time);
  }

  // Largest first, each at the lowest offset that no buffer alive at the same time occupies.
  void AssignOffsets() {
    std::vector<PlannedBuffer>& buffers = plan_.buffers;
    std::vector<size_t> order(buffers.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(
        order, [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
    std::vector<size_t> placed;  // by offset
    for (size_t b : order) {
      size_t offset = 0;
      for (size_t other : placed) {
        const PlannedBuffer& p = buffers[other];
        const bool together = p.first <= buffers[b].last && buffers[b].first <= p.last;
        if (!together || p.offset + p.bytes <= offset) continue;
        if (offset + buffers[b].bytes <= p.offset) break;
        offset = p.offset + p.bytes;
      }
      buffers[b].offset = offset;
      placed.insert(
          std::ranges::upper_bound(placed, offset, {}, [&](size_t i) { return buffers[i].offset; }),
          b);
      plan_.arena_bytes = std::max(plan_.arena_bytes, offset + buffers[b].bytes);
    }
  }

  const schema::ProgramT& program_;
  const ExecutorOptions& options_;
  size_t (*const attention_scratch_)(AttentionDims);
  const size_t steps_;
  Plan plan_;
  std::vector<bool> needs_gradient_;  // per value
};

}  // namespace

Plan MakePlan(const schema::ProgramT& program, const ExecutorOptions& options,
              size_t (*attention_scratch)(AttentionDims)) {
  return Planner(program, options, attention_scratch).Make();
}

std::string FormatPlan(const Plan& plan) {
  std::string text = fmt::format("{:<32} {:>9} {:>7} {:>5} {:>12} {:>12} {:>6} {:>6}\n", "buffer",
                                 "rows", "width", "type", "bytes", "offset", "first", "last");
  for (const PlannedBuffer& b : plan.buffers) {
    text += fmt::format("{:<32} {:>9} {:>7} {:>5} {:>12} {:>12} {:>6} {:>6}\n", Printable(b.name), b.rows,
                        b.width, b.type, b.bytes, b.offset, b.first, b.last);
  }
  return text + fmt::format("arena: {} bytes\n", plan.arena_bytes);
}

}  // namespace golf
