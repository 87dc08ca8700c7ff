#include "runtime/step_calls.h"

#include <algorithm>
#include <utility>

#include "kernels/base/check.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

using schema::Operation;

template <class T>
constexpr Element kElementOf = sizeof(T) == sizeof(float) ? Element::kFloat : Element::kBf16;

// Binds one step: operand pointers by index, then a call per operation.
template <class T>
class StepBinder {
 public:
  StepBinder(const KernelTable& kernels, const schema::ProgramT& program, const Plan& plan,
             size_t s, StepOperands& operands, StepCalls& calls)
      : table_(kernels),
        ops_(kernels.ops<T>()),
        program_(program),
        plan_(plan),
        step_(*program.steps[s]),
        planned_(plan.steps[s]),
        operands_(operands),
        calls_(calls) {}

  // {forward, backward}
  std::pair<std::function<void()>, std::function<void()>> Bind() {
    switch (step_.operation.type) {
      case Operation::Embedding:
        BindEmbedding();
        break;
      case Operation::HashEmbedding:
        BindHashEmbedding();
        break;
      case Operation::Linear:
        BindLinear();
        break;
      case Operation::RmsNorm:
        BindRmsNorm();
        break;
      case Operation::Smear:
        BindSmear();
        break;
      case Operation::Add:
        BindAdd();
        break;
      case Operation::Scale:
        BindScale();
        break;
      case Operation::ScaledAdd:
        BindScaledAdd();
        break;
      case Operation::Mix:
        BindMix();
        break;
      case Operation::GatedSkip:
        BindGatedSkip();
        break;
      case Operation::QkPrepare:
        BindQkPrepare();
        break;
      case Operation::Attention:
        BindAttention();
        break;
      case Operation::Xsa:
        BindXsa();
        break;
      case Operation::SquaredRelu:
        BindSquaredRelu();
        break;
      case Operation::SoftcapCrossEntropy:
        BindCrossEntropy();
        break;
      case Operation::Bias:
        BindBias();
        break;
      case Operation::HeadGate:
        BindHeadGate();
        break;
      case Operation::Gelu:
        BindGelu();
        break;
      case Operation::GatedAdd:
        BindGatedAdd();
        break;
      case Operation::NONE:
        GOLF_CHECK(false && "CheckProgram was not called");
    }
    if (!planned_.backward) backward_ = nullptr;
    AddSecondUses();
    return {std::move(forward_), std::move(backward_)};
  }

 private:
  template <class U = T>
  U* at(int buffer) const {
    if (buffer == kNoBuffer) return nullptr;
    return reinterpret_cast<U*>(operands_.arena + plan_.buffers[buffer].offset);
  }
  T* in(size_t i) const { return at(planned_.inputs[i]); }
  T* out() const { return at(planned_.output); }
  T* dout() const { return at(planned_.output_gradient); }
  Grad<T> din(size_t i) const {
    if (planned_.input_gradients.empty()) return {};
    const PlannedGradient& g = planned_.input_gradients[i];
    if (g.second != kNoBuffer) return {at(g.second), Into::kOverwrite};
    return {at(g.buffer), g.add ? Into::kAdd : Into::kOverwrite};
  }
  size_t rows() const { return plan_.buffers[planned_.output].rows; }
  size_t width() const { return program_.values[step_.outputs[0]]->width; }
  size_t input_width(size_t i) const { return program_.values[step_.inputs[i]]->width; }
  const std::vector<uint32_t>& shape(size_t i) const {
    return program_.weights[step_.weights[i]]->shape;
  }
  size_t elements(size_t i) const { return (*operands_.weights)[step_.weights[i]].size(); }
  bool has_weight(size_t i) const { return i < step_.weights.size(); }
  const float* weight(size_t i, size_t offset = 0) const {
    return has_weight(i) ? (*operands_.weights)[step_.weights[i]].data() + offset : nullptr;
  }
  // The gradients are given anew each pass: resolved when called. Null where the weight is not trainable.
  auto dweight(size_t i, size_t offset = 0) const {
    const bool wanted = has_weight(i) && operands_.trainable[step_.weights[i]];
    const size_t index = has_weight(i) ? step_.weights[i] : 0;
    return [operands = &operands_, wanted, index, offset]() -> float* {
      return wanted ? (*operands->gradients)[index].data() + offset : nullptr;
    };
  }
  bool all_rows() const { return planned_.rows == Rows::kAll; }

  void BindEmbedding() {
    const EmbeddingDims d{rows(), width(), shape(0)[0]};
    forward_ = [=, k = ops_.embedding_forward, o = &operands_, w = weight(0), y = out()] {
      k(d, o->ids, w, y);
    };
    backward_ = [=, k = ops_.embedding_backward, o = &operands_, dw = dweight(0), dy = dout()] {
      if (float* dtable = dw()) k(d, o->ids, dy, dtable);
    };
  }

  void BindHashEmbedding() {
    const auto hash = step_.operation.AsHashEmbedding()->hash;
    const BigramHashDims h{
        plan_.batch, plan_.length, shape(0)[0],
        hash == schema::HashKind::XorPrimes ? BigramHash::kXorPrimes : BigramHash::kPolynomial};
    const EmbeddingDims d{rows(), width(), shape(0)[0]};
    auto* bucket = at<int32_t>(planned_.saved);
    forward_ = [=, k = ops_.embedding_forward, hasher = table_.bigram_hash, o = &operands_,
                w = weight(0), y = out()] {
      hasher(h, o->ids, bucket);
      k(d, bucket, w, y);
    };
    backward_ = [=, k = ops_.embedding_backward, dw = dweight(0), dy = dout()] {
      if (float* dtable = dw()) k(d, bucket, dy, dtable);
    };
  }

  // A product with the step's weight, which is packed when it changes.
  std::pair<std::shared_ptr<Gemm>, size_t> WeightProduct(const GemmShape& gemm) {
    std::shared_ptr<Gemm> product = table_.make_gemm(gemm);
    const size_t offset = calls_.packed_bytes;
    const bool fake_quant = step_.operation.AsLinear()->fake_quant;
    calls_.packed_weights.push_back({step_.weights[0], fake_quant, product, offset});
    calls_.packed_bytes += AlignUp(product->packed_bytes());
    NeedScratch(product->scratch_bytes());
    return {product, offset};
  }
  void NeedScratch(size_t bytes) {
    calls_.gemm_scratch_bytes = std::max(calls_.gemm_scratch_bytes, bytes);
  }

  void BindLinear() {
    const size_t n = rows(), o = width(), i = input_width(0);
    const bool is_logits = step_.outputs[0] == program_.steps.back()->inputs[0];
    const Element element = kElementOf<T>;
    const auto [product, at] = WeightProduct({.m = n,
                                              .n = o,
                                              .k = i,
                                              .transpose_b = true,
                                              .ab = element,
                                              .c = is_logits ? Element::kFloat : element});
    forward_ = [=, product = product, at = at, x = in(0), y = out(), p = &operands_] {
      product->Multiply(x, p->packed_weights + at, y, p->gemm_scratch);
    };
    if (!planned_.backward) return;
    const std::function<void()> input = LinearInputGradient(n, o, i);
    const std::function<void()> weight = LinearWeightGradient(n, o, i);
    backward_ = [=] {
      if (input) input();
      if (weight) weight();
    };
  }

  std::function<void()> LinearInputGradient(size_t n, size_t o, size_t i) {
    const Grad<T> dx = din(0);
    if (dx.data == nullptr) return nullptr;
    const Element element = kElementOf<T>;
    const auto [product, at] = WeightProduct(
        {.m = n, .n = i, .k = o, .ab = element, .c = element, .add = dx.into == Into::kAdd});
    return [=, product = product, at = at, dy = dout(), p = &operands_] {
      product->Multiply(dy, p->packed_weights + at, dx.data, p->gemm_scratch);
    };
  }

  // Window by window, so that a window's rows are still in the cache when their product is formed.
  std::function<void()> LinearWeightGradient(size_t n, size_t o, size_t i) {
    if (!operands_.trainable[step_.weights[0]]) return nullptr;
    const size_t windows = plan_.batch, tokens = n / windows;
    const std::shared_ptr<Gemm> product = table_.make_gemm({.m = o,
                                                            .n = i,
                                                            .k = tokens,
                                                            .transpose_a = true,
                                                            .ab = kElementOf<T>,
                                                            .c = Element::kFloat,
                                                            .add = true});
    const size_t packed_bytes = AlignUp(product->packed_bytes());
    NeedScratch(packed_bytes + product->scratch_bytes());
    return [=, x = in(0), dy = dout(), dw = dweight(0), p = &operands_] {
      std::byte* packed = p->gemm_scratch;
      for (size_t row = 0; row < n; row += tokens) {
        product->Pack(x + row * i, packed, packed + packed_bytes);
        product->Multiply(dy + row * o, packed, dw(), packed + packed_bytes);
      }
    };
  }

  void BindRmsNorm() {
    const auto* op = step_.operation.AsRmsNorm();
    const RmsNormDims d{rows(), width(), op->scale, op->eps};
    forward_ = [=, k = ops_.rmsnorm_forward, x = in(0), y = out()] { k(d, x, y); };
    backward_ = [=, k = ops_.rmsnorm_backward, x = in(0), dy = dout(), dx = din(0)] {
      k(d, x, dy, dx);
    };
  }

  void BindSmear() {
    const SmearDims d{plan_.batch, plan_.length, width()};
    forward_ = [=, k = ops_.smear_forward, x = in(0), w = weight(0), y = out()] { k(d, x, w, y); };
    backward_ = [=, k = ops_.smear_backward, x = in(0), w = weight(0), dy = dout(), dx = din(0),
                 dw = dweight(0)] { k(d, x, w, dy, dx, dw()); };
  }

  ElementwiseDims Elementwise(bool scalar = false) const { return {rows(), width(), scalar}; }

  void BindAdd() {
    const ElementwiseDims d = Elementwise();
    forward_ = [=, k = ops_.add_forward, a = in(0), b = in(1), y = out()] { k(d, a, b, y); };
    backward_ = [=, k = ops_.add_backward, dy = dout(), da = din(0), db = din(1)] {
      k(d, dy, da, db);
    };
  }

  void BindScale() {
    const ElementwiseDims d = Elementwise(elements(0) == 1);
    forward_ = [=, k = ops_.scale_forward, x = in(0), w = weight(0), y = out()] { k(d, x, w, y); };
    backward_ = [=, k = ops_.scale_backward, x = in(0), w = weight(0), dy = dout(), dx = din(0),
                 dw = dweight(0)] { k(d, x, w, dy, dx, dw()); };
  }

  void BindScaledAdd() {
    const ElementwiseDims d = Elementwise(elements(0) == 1);
    const size_t row = step_.operation.AsScaledAdd()->row * width();
    forward_ = [=, k = ops_.scaled_add_forward, a = in(0), b = in(1), w = weight(0, row),
                y = out()] { k(d, a, b, w, y); };
    backward_ = [=, k = ops_.scaled_add_backward, b = in(1), w = weight(0, row), dy = dout(),
                 da = din(0), db = din(1), dw = dweight(0, row)] { k(d, b, w, dy, da, db, dw()); };
  }

  void BindMix() {
    const ElementwiseDims d = Elementwise(shape(0).size() == 1);
    forward_ = [=, k = ops_.mix_forward, a = in(0), b = in(1), w = weight(0), y = out()] {
      k(d, a, b, w, y);
    };
    backward_ = [=, k = ops_.mix_backward, a = in(0), b = in(1), w = weight(0), dy = dout(),
                 da = din(0), db = din(1), dw = dweight(0)] { k(d, a, b, w, dy, da, db, dw()); };
  }

  void BindGatedSkip() {
    const GatedSkipDims d{rows(), width()};
    const size_t row = step_.operation.AsGatedSkip()->row * width();
    forward_ = [=, k = ops_.gated_skip_forward, x = in(0), skip = in(1), w = weight(0, row),
                gate = weight(1, row), y = out()] { k(d, x, skip, w, gate, y); };
    backward_ = [=, k = ops_.gated_skip_backward, x = in(0), skip = in(1), w = weight(0, row),
                 gate = weight(1, row), dy = dout(), dx = din(0), dskip = din(1),
                 dw = dweight(0, row),
                 dgate = dweight(1, row)] { k(d, x, skip, w, gate, dy, dx, dskip, dw(), dgate()); };
  }

  const RopeTables& Rope() {
    const auto* op = step_.operation.AsQkPrepare();
    const RopeSettings wanted{op->rope_dims, op->rope_base, op->train_length, op->bf16_frequencies};
    for (const auto& rope : operands_.rope) {
      if (rope->settings == wanted) return rope->tables;
    }
    operands_.rope.push_back(std::make_unique<SharedRope>(
        SharedRope{wanted, MakeRopeTables(plan_.length, wanted, operands_.rope_length)}));
    return operands_.rope.back()->tables;
  }

  void BindQkPrepare() {
    const auto* op = step_.operation.AsQkPrepare();
    const QkPrepareDims d{rows(), width() / op->head_dim, op->head_dim, op->rope_dims, op->eps};
    const RopeTables& rope = Rope();
    const float* cos = rope.cos.data();
    const float* sin = rope.sin.data();
    const int32_t* position = all_rows() ? operands_.position : operands_.wanted_position;
    forward_ = [=, k = ops_.qk_prepare_forward, x = in(0), gain = weight(0), y = out()] {
      k(d, x, gain, cos, sin, position, y);
    };
    backward_ = [=, k = ops_.qk_prepare_backward, x = in(0), gain = weight(0), dy = dout(),
                 dx = din(0),
                 dgain = dweight(0)] { k(d, x, gain, cos, sin, position, dy, dx, dgain()); };
  }

  void BindAttention() {
    const auto* op = step_.operation.AsAttention();
    const AttentionDims d{plan_.batch,  all_rows() ? plan_.length : plan_.wanted_rows,
                          plan_.length, op->heads,
                          op->kv_heads, op->head_dim};
    const uint32_t* first = all_rows() ? operands_.first_row_zero : operands_.first_row;
    auto* lse = at<float>(planned_.saved);
    forward_ = [=, k = ops_.attention_forward, q = in(0), key = in(1), v = in(2), y = out()] {
      k(d, q, key, v, first, y, lse);
    };
    backward_ = [=, k = ops_.attention_backward, q = in(0), key = in(1), v = in(2), y = out(),
                 dy = dout(), dq = din(0), dk = din(1), dv = din(2),
                 scratch = at<void>(planned_.scratch)] {
      k(d, q, key, v, y, lse, dy, dq, dk, dv, scratch);
    };
  }

  void BindXsa() {
    const auto* op = step_.operation.AsXsa();
    const XsaDims d{rows(), op->heads, op->kv_heads, op->head_dim};
    forward_ = [=, k = ops_.xsa_forward, y = in(0), v = in(1), o = out()] { k(d, y, v, o); };
    backward_ = [=, k = ops_.xsa_backward, y = in(0), v = in(1), d_out = dout(), dy = din(0),
                 dv = din(1)] { k(d, y, v, d_out, dy, dv); };
  }

  void BindSquaredRelu() {
    const SquaredReluDims d{rows(), width(), step_.operation.AsSquaredRelu()->negative_slope};
    forward_ = [=, k = ops_.squared_relu_forward, x = in(0), scale = weight(0), bias = weight(1),
                y = out()] { k(d, x, scale, bias, y); };
    backward_ = [=, k = ops_.squared_relu_backward, x = in(0), scale = weight(0), dy = dout(),
                 dx = din(0), dscale = dweight(0),
                 dbias = dweight(1)] { k(d, x, scale, dy, dx, dscale(), dbias()); };
  }

  void BindCrossEntropy() {
    const CrossEntropyDims d{rows(), input_width(0),
                             step_.operation.AsSoftcapCrossEntropy()->softcap};
    const auto* z = at<float>(planned_.inputs[0]);
    auto* lse = at<float>(planned_.saved);
    forward_ = [=, k = ops_.cross_entropy_forward, o = &operands_,
                nll = at<float>(planned_.output)] { k(d, z, o->targets, nll, lse); };
    if (!planned_.backward) return;
    backward_ = [=, k = ops_.cross_entropy_backward, o = &operands_, dz = din(0).data] {
      if (o->row_gradients == nullptr) return k(d, z, o->targets, lse, o->loss_gradient, dz);
      for (size_t n = 0; n < d.N; ++n) {
        k({1, d.V, d.softcap}, z + n * d.V, o->targets + n, lse + n, o->row_gradients[n],
          dz + n * d.V);
      }
    };
  }

  void BindBias() {
    const RowDims d{rows(), width()};
    forward_ = [=, k = ops_.bias_forward, x = in(0), b = weight(0), y = out()] { k(d, x, b, y); };
    backward_ = [=, k = ops_.bias_backward, dy = dout(), dx = din(0), db = dweight(0)] {
      k(d, dy, dx, db());
    };
  }

  void BindHeadGate() {
    const size_t heads = input_width(1);
    const HeadGateDims d{rows(), heads, width() / heads};
    forward_ = [=, k = ops_.head_gate_forward, x = in(0), z = in(1), y = out()] { k(d, x, z, y); };
    backward_ = [=, k = ops_.head_gate_backward, x = in(0), z = in(1), dy = dout(), dx = din(0),
                 dz = din(1)] { k(d, x, z, dy, dx, dz); };
  }

  void BindGelu() {
    const RowDims d{rows(), width()};
    forward_ = [=, k = ops_.gelu_forward, x = in(0), y = out()] { k(d, x, y); };
    backward_ = [=, k = ops_.gelu_backward, x = in(0), dy = dout(), dx = din(0)] {
      k(d, x, dy, dx);
    };
  }

  void BindGatedAdd() {
    const RowDims d{rows(), width()};
    forward_ = [=, k = ops_.gated_add_forward, a = in(0), b = in(1), w = weight(0), y = out()] {
      k(d, a, b, w, y);
    };
    backward_ = [=, k = ops_.gated_add_backward, b = in(1), w = weight(0), dy = dout(), da = din(0),
                 db = din(1), dw = dweight(0)] { k(d, b, w, dy, da, db, dw()); };
  }

  // Where one step reads a value twice, its second gradient was written beside the first: add it.
  void AddSecondUses() {
    for (const PlannedGradient& g : planned_.input_gradients) {
      if (g.second == kNoBuffer) continue;
      const PlannedBuffer& b = plan_.buffers[g.second];
      const ElementwiseDims d{b.rows, b.width, false};
      backward_ = [=, first = std::move(backward_), k = ops_.add_backward, from = at(g.second),
                   to = at(g.buffer)] {
        first();
        k(d, from, Grad<T>{to, Into::kAdd}, {});
      };
    }
  }

  const KernelTable& table_;
  const OpKernels<T>& ops_;
  const schema::ProgramT& program_;
  const Plan& plan_;
  const schema::StepT& step_;
  const PlannedStep& planned_;
  StepOperands& operands_;
  StepCalls& calls_;  // for what products need; not yet for the calls
  std::function<void()> forward_, backward_;
};

}  // namespace

template <class T>
StepCalls MakeStepCalls(const KernelTable& kernels, const schema::ProgramT& program,
                        const Plan& plan, StepOperands& operands) {
  StepCalls calls;
  for (size_t s = 0; s < program.steps.size(); ++s) {
    auto [forward, backward] = StepBinder<T>(kernels, program, plan, s, operands, calls).Bind();
    for (size_t g = plan.gathers.size(); g-- > 0;) {
      if (plan.gathers[g].before_step != s) continue;
      const PlannedBuffer& to = plan.buffers[plan.gathers[g].to];
      const auto* src =
          reinterpret_cast<const T*>(operands.arena + plan.buffers[plan.gathers[g].from].offset);
      auto* dst = reinterpret_cast<T*>(operands.arena + to.offset);
      forward = [=, rows = to.rows, c = to.width, k = kernels.ops<T>().gather_rows, o = &operands,
                 then = std::move(forward)] {
        k(rows, c, src, o->wanted_row, dst);
        then();
      };
    }
    calls.forward.push_back(std::move(forward));
    calls.backward.push_back(std::move(backward));
  }
  return calls;
}

template StepCalls MakeStepCalls<float>(const KernelTable&, const schema::ProgramT&, const Plan&,
                                        StepOperands&);
template StepCalls MakeStepCalls<bf16>(const KernelTable&, const schema::ProgramT&, const Plan&,
                                       StepOperands&);

}  // namespace golf
