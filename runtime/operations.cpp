#include "runtime/operations.h"

#include <fmt/core.h>

#include <cmath>

#include "kernels/base/check.h"
#include "kernels/limits.h"
#include "schemas/program_generated.h"

namespace golf {

using schema::Operation;

const OperationTraits& TraitsOf(const schema::StepT& step) {
  static constexpr OperationTraits kEmbedding{"Embedding", true, 0, 0, false, -1};
  static constexpr OperationTraits kHashEmbedding{"HashEmbedding", true, 0, 0, false, -1};
  static constexpr OperationTraits kLinear{"Linear", false, 0, 0b1, false, -1};
  static constexpr OperationTraits kRmsNorm{"RmsNorm", false, 0, 0b1, false, -1};
  static constexpr OperationTraits kSmear{"Smear", true, 0b1, 0b1, false, -1};
  static constexpr OperationTraits kAdd{"Add", false, 0, 0, false, 0};
  static constexpr OperationTraits kScale{"Scale", false, 0, 0b1, false, -1};
  static constexpr OperationTraits kScaledAdd{"ScaledAdd", false, 0, 0b10, false, 0};
  static constexpr OperationTraits kMix{"Mix", false, 0, 0b11, false, -1};
  static constexpr OperationTraits kGatedSkip{"GatedSkip", false, 0, 0b11, false, -1};
  static constexpr OperationTraits kQkPrepare{"QkPrepare", false, 0, 0b1, false, -1};
  static constexpr OperationTraits kAttention{"Attention", false, 0b110, 0b111, true, -1};
  static constexpr OperationTraits kXsa{"Xsa", false, 0, 0b11, false, -1};
  static constexpr OperationTraits kSquaredRelu{"SquaredRelu", false, 0, 0b1, false, -1};
  static constexpr OperationTraits kCrossEntropy{"SoftcapCrossEntropy", false, 0, 0b1, false, -1};
  static constexpr OperationTraits kBias{"Bias", false, 0, 0, false, 0};
  static constexpr OperationTraits kHeadGate{"HeadGate", false, 0, 0b11, false, -1};
  static constexpr OperationTraits kGelu{"Gelu", false, 0, 0b1, false, -1};
  static constexpr OperationTraits kGatedAdd{"GatedAdd", false, 0, 0b10, false, 0};
  switch (step.operation.type) {
    case Operation::Embedding:
      return kEmbedding;
    case Operation::HashEmbedding:
      return kHashEmbedding;
    case Operation::Linear:
      return kLinear;
    case Operation::RmsNorm:
      return kRmsNorm;
    case Operation::Smear:
      return kSmear;
    case Operation::Add:
      return kAdd;
    case Operation::Scale:
      return kScale;
    case Operation::ScaledAdd:
      return kScaledAdd;
    case Operation::Mix:
      return kMix;
    case Operation::GatedSkip:
      return kGatedSkip;
    case Operation::QkPrepare:
      return kQkPrepare;
    case Operation::Attention:
      return kAttention;
    case Operation::Xsa:
      return kXsa;
    case Operation::SquaredRelu:
      return kSquaredRelu;
    case Operation::SoftcapCrossEntropy:
      return kCrossEntropy;
    case Operation::Bias:
      return kBias;
    case Operation::HeadGate:
      return kHeadGate;
    case Operation::Gelu:
      return kGelu;
    case Operation::GatedAdd:
      return kGatedAdd;
    case Operation::NONE:
      break;
  }
  GOLF_CHECK(false && "unknown operation; CheckProgram was not called");
  std::abort();
}

namespace {

// What kernels can take beyond this stands in kernels/limits.h.
constexpr uint32_t kMaxHeads = 1024;

using Shape = std::vector<uint32_t>;

// Checks of one step's operands; the first failure is kept.
class StepCheck {
 public:
  StepCheck(const schema::ProgramT& program, const schema::StepT& step,
            const std::vector<uint32_t>& widths)
      : program_(program), step_(step), widths_(widths) {}

  void Operands(size_t inputs, size_t min_weights, size_t max_weights) {
    Require(step_.inputs.size() == inputs, "expected {} inputs, found {}", inputs,
            step_.inputs.size());
    Require(step_.weights.size() >= min_weights && step_.weights.size() <= max_weights,
            "expected {} to {} weights, found {}", min_weights, max_weights, step_.weights.size());
  }
  uint32_t width(size_t input) const { return widths_[step_.inputs[input]]; }
  const Shape& weight(size_t i) const { return program_.weights[step_.weights[i]]->shape; }
  size_t weights() const { return step_.weights.size(); }
  void SameWidths() {
    Require(width(0) == width(1), "inputs differ in width: {} and {}", width(0), width(1));
  }
  void WeightShape(size_t i, const Shape& expected) {
    Require(weight(i) == expected, "weight {} has the wrong shape", i);
  }
  static bool IsScalar(const Shape& s) { return s.empty() || (s.size() == 1 && s[0] == 1); }

  template <class... Args>
  void Require(bool condition, fmt::format_string<Args...> text, Args&&... args) {
    if (!condition && error_.empty()) error_ = fmt::format(text, std::forward<Args>(args)...);
  }
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

 private:
  const schema::ProgramT& program_;
  const schema::StepT& step_;
  const std::vector<uint32_t>& widths_;
  std::string error_;
};

// As kernels see it, in float.
bool IsPositive(double x) {
  return std::isfinite(static_cast<float>(x)) && static_cast<float>(x) > 0;
}

void CheckHeadWidth(StepCheck& c, uint32_t head_dim) {
  c.Require(head_dim >= 1 && head_dim <= kMaxHeadWidth,
            "expected a head width of 1 to {}, found {}", kMaxHeadWidth, head_dim);
}

void CheckHeads(StepCheck& c, uint32_t heads, uint32_t kv_heads, uint32_t head_dim) {
  c.Require(heads >= 1 && heads <= kMaxHeads && kv_heads >= 1 && kv_heads <= heads &&
                heads % kv_heads == 0,
            "expected 1 to {} query heads, a multiple of the key/value heads; found {} and {}",
            kMaxHeads, heads, kv_heads);
  CheckHeadWidth(c, head_dim);
}

// A per-channel parameter: (C), (rows, C) with the row in range, or one scalar.
void CheckChannels(StepCheck& c, size_t weight, uint32_t row, uint32_t channels,
                   bool scalar_allowed) {
  const Shape& s = c.weight(weight);
  const bool vector = s.size() == 1 && s[0] == channels && row == 0;
  const bool matrix = s.size() == 2 && s[1] == channels && row < s[0];
  const bool scalar = scalar_allowed && StepCheck::IsScalar(s) && row == 0;
  c.Require(vector || matrix || scalar, "weight {} does not fit {} channels at row {}", weight,
            channels, row);
}

uint32_t CheckOperands(StepCheck& c, const schema::ProgramT& program, const schema::StepT& step) {
  switch (step.operation.type) {
    case Operation::Embedding:
      c.Operands(0, 1, 1);
      if (c.failed()) return 0;
      c.Require(c.weight(0).size() == 2 && c.weight(0)[0] == program.vocab_size,
                "the table needs one row per vocabulary piece ({})", program.vocab_size);
      return c.failed() ? 0 : c.weight(0)[1];
    case Operation::HashEmbedding: {
      c.Operands(0, 1, 1);
      if (c.failed()) return 0;
      const auto hash = step.operation.AsHashEmbedding()->hash;
      c.Require(hash == schema::HashKind::XorPrimes || hash == schema::HashKind::Polynomial,
                "unknown hash {}", static_cast<int>(hash));
      c.Require(c.weight(0).size() == 2 && c.weight(0)[0] >= 2 && c.weight(0)[0] <= (1U << 30),
                "the table needs at least 2 rows");
      return c.failed() ? 0 : c.weight(0)[1];
    }
    case Operation::Linear:
      c.Operands(1, 1, 1);
      if (c.failed()) return 0;
      c.Require(c.weight(0).size() == 2 && c.weight(0)[1] == c.width(0),
                "the matrix does not take inputs of width {}", c.width(0));
      return c.failed() ? 0 : c.weight(0)[0];
    case Operation::RmsNorm: {
      c.Operands(1, 0, 0);
      if (c.failed()) return 0;
      const auto* op = step.operation.AsRmsNorm();
      c.Require(IsPositive(op->eps) && IsPositive(op->scale), "scale and eps must be positive");
      return c.width(0);
    }
    case Operation::Smear:
      c.Operands(1, 1, 1);
      if (c.failed()) return 0;
      c.WeightShape(0, {c.width(0)});
      return c.width(0);
    case Operation::Add:
      c.Operands(2, 0, 0);
      if (c.failed()) return 0;
      c.SameWidths();
      return c.width(0);
    case Operation::Scale:
      c.Operands(1, 1, 1);
      if (c.failed()) return 0;
      CheckChannels(c, 0, 0, c.width(0), true);
      return c.width(0);
    case Operation::ScaledAdd:
      c.Operands(2, 1, 1);
      if (c.failed()) return 0;
      c.SameWidths();
      CheckChannels(c, 0, step.operation.AsScaledAdd()->row, c.width(0), true);
      return c.width(0);
    case Operation::Mix:
      c.Operands(2, 1, 1);
      if (c.failed()) return 0;
      c.SameWidths();
      c.Require(c.weight(0) == Shape{2, c.width(0)} || c.weight(0) == Shape{2},
                "the weight must be (2, {}) or (2)", c.width(0));
      return c.width(0);
    case Operation::GatedSkip: {
      c.Operands(2, 2, 2);
      if (c.failed()) return 0;
      c.SameWidths();
      const uint32_t row = step.operation.AsGatedSkip()->row;
      CheckChannels(c, 0, row, c.width(0), false);
      CheckChannels(c, 1, row, c.width(0), false);
      return c.width(0);
    }
    case Operation::QkPrepare: {
      c.Operands(1, 0, 1);
      if (c.failed()) return 0;
      const auto* op = step.operation.AsQkPrepare();
      CheckHeadWidth(c, op->head_dim);
      if (c.failed()) return 0;
      c.Require(c.width(0) % op->head_dim == 0, "head width {} does not divide {}", op->head_dim,
                c.width(0));
      c.Require(op->rope_dims % 2 == 0 && op->rope_dims <= op->head_dim &&
                    (op->rope_dims > 2 || op->train_length == 0),
                "{} rotary channels of {}", op->rope_dims, op->head_dim);
      c.Require(IsPositive(op->rope_base) && IsPositive(op->eps), "base and eps must be positive");
      if (c.weights() == 1) c.WeightShape(0, {c.width(0) / op->head_dim});
      return c.width(0);
    }
    case Operation::Attention: {
      c.Operands(3, 0, 0);
      if (c.failed()) return 0;
      const auto* op = step.operation.AsAttention();
      CheckHeads(c, op->heads, op->kv_heads, op->head_dim);
      c.Require(c.width(0) == op->heads * op->head_dim &&
                    c.width(1) == op->kv_heads * op->head_dim &&
                    c.width(2) == op->kv_heads * op->head_dim,
                "q, k and v have widths {}, {} and {}", c.width(0), c.width(1), c.width(2));
      return c.width(0);
    }
    case Operation::Xsa: {
      c.Operands(2, 0, 0);
      if (c.failed()) return 0;
      const auto* op = step.operation.AsXsa();
      CheckHeads(c, op->heads, op->kv_heads, op->head_dim);
      if (c.failed()) return 0;
      c.Require(op->heads / op->kv_heads <= kMaxXsaGroup,
                "expected at most {} query heads per key/value head, found {}", kMaxXsaGroup,
                op->heads / op->kv_heads);
      c.Require(c.width(0) == op->heads * op->head_dim && c.width(1) == op->kv_heads * op->head_dim,
                "y and v have widths {} and {}", c.width(0), c.width(1));
      return c.width(0);
    }
    case Operation::SquaredRelu:
      c.Operands(1, 0, 2);
      if (c.failed()) return 0;
      c.Require(c.weights() != 1, "scale and bias come together");
      c.Require(std::isfinite(static_cast<float>(step.operation.AsSquaredRelu()->negative_slope)),
                "slope not finite");
      for (size_t i = 0; i < c.weights(); ++i) c.WeightShape(i, {c.width(0)});
      return c.width(0);
    case Operation::SoftcapCrossEntropy:
      c.Operands(1, 0, 0);
      if (c.failed()) return 0;
      c.Require(c.width(0) == program.vocab_size, "{} logits for {} vocabulary pieces", c.width(0),
                program.vocab_size);
      c.Require(IsPositive(step.operation.AsSoftcapCrossEntropy()->softcap),
                "softcap must be positive");
      return 1;
    case Operation::Bias:
      c.Operands(1, 1, 1);
      if (c.failed()) return 0;
      c.WeightShape(0, {c.width(0)});
      return c.width(0);
    case Operation::HeadGate: {
      c.Operands(2, 0, 0);
      if (c.failed()) return 0;
      const uint32_t heads = step.operation.AsHeadGate()->heads;
      c.Require(heads >= 1 && heads <= kMaxHeads && c.width(0) % heads == 0 && c.width(1) == heads,
                "{} heads for widths {} and {}", heads, c.width(0), c.width(1));
      return c.width(0);
    }
    case Operation::Gelu:
      c.Operands(1, 0, 0);
      return c.failed() ? 0 : c.width(0);
    case Operation::GatedAdd:
      c.Operands(2, 1, 1);
      if (c.failed()) return 0;
      c.SameWidths();
      c.Require(StepCheck::IsScalar(c.weight(0)), "the gate must be one number");
      return c.width(0);
    case Operation::NONE:
      break;
  }
  c.Require(false, "an operation this version does not know");
  return 0;
}

}  // namespace

Result<uint32_t> OutputWidth(const schema::ProgramT& program, const schema::StepT& step,
                             const std::vector<uint32_t>& widths) {
  StepCheck check(program, step, widths);
  const uint32_t width = CheckOperands(check, program, step);
  if (check.failed()) return Status(Code::kBadData, check.error());
  return width;
}

}  // namespace golf
