// Forms: 0 a program's bytes; 1 operations, built into a program that is right but for one thing at most. What is accepted
// must plan: every buffer apart from those that live at the same time.
#include "kernels/base/check.h"
#include "runtime/plan.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"

namespace golf::test {
namespace {

size_t SomeScratch(AttentionDims d) { return d.B * d.T * (d.H + d.K) * d.D; }

void CheckPlan(const schema::ProgramT& program, Mode mode, uint32_t scored_rows) {
  ExecutorOptions options;
  options.batch = 2;
  options.length = 8;
  options.scored_rows = scored_rows;
  options.mode = mode;
  options.trainable.assign(program.weights.size(), true);
  const Plan plan = MakePlan(program, options, SomeScratch);
  for (size_t a = 0; a < plan.buffers.size(); ++a) {
    const PlannedBuffer& x = plan.buffers[a];
    GOLF_CHECK(x.first <= x.last && x.offset + x.bytes <= plan.arena_bytes);
    for (size_t b = 0; b < a; ++b) {
      const PlannedBuffer& y = plan.buffers[b];
      const bool together = x.first <= y.last && y.first <= x.last;
      GOLF_CHECK(!together || x.offset + x.bytes <= y.offset || y.offset + y.bytes <= x.offset);
    }
  }
}

// Whether it was accepted.
bool Read(std::span<const uint8_t> bytes) {
  const auto program = ParseProgram(bytes);
  if (!program.ok()) return false;
  const auto again = ParseProgram(SerialiseProgram(**program));
  GOLF_CHECK(again.ok() && SerialiseProgram(**again) == SerialiseProgram(**program));
  if ((*program)->steps.size() > 64) return true;
  CheckPlan(**program, Mode::kTrain, 0);
  CheckPlan(**program, Mode::kScore, 3);
  CheckPlan(**program, Mode::kObserve, 0);
  return true;
}

// Builds a chain: every step reads the value before it, some an older one too.
class Builder {
 public:
  explicit Builder(InputReader& in) : in_(in) {
    program_.name = "fuzz";
    program_.vocab_size = 2 + in_.Below(16);
    program_.window = 1 + in_.Below(64);
  }

  schema::ProgramT Build() {
    width_ = (1 + in_.Below(4)) * 2;
    Step(schema::EmbeddingT(), {}, {Weight({program_.vocab_size, width_})}, width_);
    for (uint32_t i = in_.Below(24); i > 0; --i) AddStep();
    Step(schema::LinearT(), {Last()}, {Weight({program_.vocab_size, width_})}, program_.vocab_size);
    Step(schema::SoftcapCrossEntropyT(), {Last()}, {}, 1);
    return std::move(program_);
  }

 private:
  uint32_t Last() const { return static_cast<uint32_t>(program_.values.size() - 1); }

  // A value as wide as the last one; perhaps that itself.
  uint32_t Other() {
    const uint32_t v = in_.Below(program_.values.size());
    return program_.values[v]->width == width_ ? v : Last();
  }

  uint32_t Weight(std::vector<uint32_t> shape) {
    auto weight = std::make_unique<schema::WeightT>();
    weight->name = "w" + std::to_string(program_.weights.size());
    weight->shape = std::move(shape);
    program_.weights.push_back(std::move(weight));
    return static_cast<uint32_t>(program_.weights.size() - 1);
  }

  template <class Operation>
  void Step(const Operation& operation, std::vector<uint32_t> inputs, std::vector<uint32_t> weights,
            uint32_t width) {
    auto value = std::make_unique<schema::ValueT>();
    value->name = "v" + std::to_string(program_.values.size());
    value->width = width;
    auto step = std::make_unique<schema::StepT>();
    step->operation.Set(Operation(operation));
    step->inputs = std::move(inputs);
    step->weights = std::move(weights);
    step->outputs = {static_cast<uint32_t>(program_.values.size())};
    program_.values.push_back(std::move(value));
    program_.steps.push_back(std::move(step));
    width_ = width;
  }

  void AddStep() {
    const uint32_t x = Last(), c = width_;
    switch (in_.Below(16)) {
      case 0:
        return Step(schema::RmsNormT(), {x}, {}, c);
      case 1:
        return Step(schema::SmearT(), {x}, {Weight({c})}, c);
      case 2:
        return Step(schema::AddT(), {x, Other()}, {}, c);
      case 3:
        return Step(schema::ScaleT(), {x}, {Weight(in_.Below(2) ? Shape{c} : Shape{})}, c);
      case 4: {
        schema::ScaledAddT add;
        add.row = in_.Below(3);
        return Step(add, {x, Other()}, {Weight({3, c})}, c);
      }
      case 5:
        return Step(schema::MixT(), {x, Other()}, {Weight({2, c})}, c);
      case 6:
        return Step(schema::GatedSkipT(), {x, Other()}, {Weight({1, c}), Weight({c})}, c);
      case 7:
        return Step(schema::SquaredReluT(), {x}, {}, c);
      case 8: {
        const uint32_t out = (1 + in_.Below(4)) * 2;
        return Step(schema::LinearT(), {x}, {Weight({out, c})}, out);
      }
      case 9: {
        schema::QkPrepareT prepare;
        prepare.head_dim = c;
        prepare.rope_dims = in_.Below(c / 2 + 1) * 2;
        return Step(prepare, {x}, {Weight({1})}, c);
      }
      case 10: {
        schema::AttentionT attention;
        attention.heads = attention.kv_heads = 2;
        attention.head_dim = c / 2;
        return Step(attention, {x, Other(), Other()}, {}, c);
      }
      case 12:
        return Step(schema::BiasT(), {x}, {Weight({c})}, c);
      case 13:
        return Step(schema::GeluT(), {x}, {}, c);
      case 14:
        return Step(schema::GatedAddT(), {x, Other()}, {Weight({})}, c);
      case 15: {
        schema::HeadGateT gate;
        gate.heads = 2;
        Step(schema::LinearT(), {x}, {Weight({gate.heads, c})}, gate.heads);
        return Step(gate, {x, Last()}, {}, c);
      }
      default: {
        schema::XsaT xsa;
        xsa.heads = xsa.kv_heads = 1;
        xsa.head_dim = c;
        return Step(xsa, {x, Other()}, {}, c);
      }
    }
  }

  using Shape = std::vector<uint32_t>;
  InputReader& in_;
  schema::ProgramT program_;
  uint32_t width_ = 0;
};

// One thing that is wrong; false if there is none.
bool Damage(InputReader& in, schema::ProgramT& p) {
  schema::StepT& step = *p.steps[in.Below(p.steps.size())];
  schema::ValueT& value = *p.values[in.Below(p.values.size())];
  schema::WeightT& weight = *p.weights[in.Below(p.weights.size())];
  switch (in.Below(12)) {
    case 1:
      step.inputs.push_back(in.Value<uint32_t>());
      break;
    case 2:
      step.weights.push_back(in.Byte());
      break;
    case 3:
      step.outputs = {in.Byte()};
      break;
    case 4:
      step.outputs.clear();
      break;
    case 5:
      value.width = in.Value<uint32_t>();
      break;
    case 6:
      value.name = in.Text(in.Below(4));
      break;
    case 7:
      weight.shape = {in.Value<uint32_t>(), in.Value<uint32_t>()};
      break;
    case 8:
      weight.name = in.Text(in.Below(4));
      break;
    case 9:
      p.window = in.Value<uint32_t>();
      break;
    case 10:
      p.vocab_size = in.Value<uint32_t>();
      break;
    case 11:
      for (uint32_t& v : step.inputs) v = in.Byte();
      break;
    default:
      return false;
  }
  return true;
}

}  // namespace

void FuzzProgram(std::span<const uint8_t> input) {
  InputReader in(input);
  if (in.Below(2) == 0) {
    Read(in.Rest());
    return;
  }
  schema::ProgramT program = Builder(in).Build();
  const bool damaged = Damage(in, program);
  const bool accepted = Read(SerialiseProgram(program));
  GOLF_CHECK(accepted || damaged);
}

}  // namespace golf::test
