#include "tests/bench/useful_work.h"

#include "kernels/table.h"
#include "schemas/program_generated.h"

namespace golf::bench {
namespace {

// (query, key) pairs of `rows` rows that end at a window's last position.
double Pairs(double length, double rows) { return rows * (length - (rows - 1) / 2); }

}  // namespace

UsefulWork UsefulWorkOf(const schema::ProgramT& program, const Plan& plan,
                        const ExecutorOptions& options, size_t step) {
  const schema::StepT& s = *program.steps[step];
  const PlannedStep& planned = plan.steps[step];
  const double rows = static_cast<double>(plan.buffers[planned.output].rows);
  UsefulWork work;
  if (s.operation.type == schema::Operation::Linear) {
    work.forward =
        2 * rows * program.values[s.inputs[0]]->width * program.values[s.outputs[0]]->width;
    if (!planned.backward) return work;
    if (planned.input_gradients[0].buffer != kNoBuffer) work.backward += work.forward;
    if (options.trainable[s.weights[0]]) work.backward += work.forward;
  } else if (const auto* attention = s.operation.AsAttention()) {
    const double batch = static_cast<double>(plan.batch);
    work.forward = 4 * batch * Pairs(static_cast<double>(plan.length), rows / batch) *
                   attention->heads * attention->head_dim;
    if (planned.backward) work.backward = 2 * work.forward;
  }
  return work;
}

UsefulWork UsefulWorkOf(const schema::ProgramT& program, const Plan& plan,
                        const ExecutorOptions& options) {
  UsefulWork sum;
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const UsefulWork work = UsefulWorkOf(program, plan, options, s);
    sum.forward += work.forward;
    sum.backward += work.backward;
  }
  return sum;
}

Plan PlanOf(const KernelTable& table, const schema::ProgramT& program, ExecutorOptions& options) {
  if (options.length == 0) options.length = program.window;
  if (options.trainable.empty()) options.trainable.assign(program.weights.size(), true);
  return MakePlan(program, options,
                  options.precision == Precision::kBf16 ? table.b16.attention_backward_scratch
                                                        : table.f32.attention_backward_scratch);
}

}  // namespace golf::bench
