// Every operation at the ends of what CheckProgram lets through: a scoring pass and a training pass run, one step further
// is refused. So no program that is accepted meets a kernel that cannot take it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "kernels/limits.h"
#include "kernels/table.h"
#include "runtime/executor.h"
#include "runtime/operations.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

using schema::Operation;
using Shape = std::vector<uint32_t>;

constexpr uint32_t kWidest = 1U << 18;

struct Case {
  std::string name;
  schema::OperationUnion operation = {};
  std::vector<uint32_t> inputs = {};  // widths
  std::vector<Shape> weights = {};
  uint32_t output = 0;  // width
  uint32_t vocabulary = 5, window = 3;
  bool refused = false;
};

// A literal + std::to_string() is one of gcc 12's false warnings.
std::string Numbered(std::string name, size_t number) {
  return name.append(std::to_string(number));
}

template <class OperationT>
schema::OperationUnion Made(const std::function<void(OperationT&)>& set = nullptr) {
  OperationT operation;
  if (set) set(operation);
  schema::OperationUnion made;
  made.Set(std::move(operation));
  return made;
}

// The operation between embeddings, one for each of its inputs, and the logits.
std::unique_ptr<schema::ProgramT> ProgramOf(const Case& c) {
  auto program = std::make_unique<schema::ProgramT>();
  program->vocab_size = c.vocabulary;
  program->window = c.window;
  const auto weight = [&](Shape shape) {
    auto w = std::make_unique<schema::WeightT>();
    w->name = Numbered("weight", program->weights.size());
    w->shape = std::move(shape);
    program->weights.push_back(std::move(w));
    return static_cast<uint32_t>(program->weights.size() - 1);
  };
  const auto step = [&](schema::OperationUnion operation, std::vector<uint32_t> inputs,
                        const std::vector<Shape>& weights, uint32_t width) {
    auto value = std::make_unique<schema::ValueT>();
    value->name = Numbered("value", program->values.size());
    value->width = width;
    program->values.push_back(std::move(value));
    auto s = std::make_unique<schema::StepT>();
    s->operation = std::move(operation);
    s->inputs = std::move(inputs);
    for (const Shape& shape : weights) s->weights.push_back(weight(shape));
    s->outputs = {static_cast<uint32_t>(program->values.size() - 1)};
    program->steps.push_back(std::move(s));
    return static_cast<uint32_t>(program->values.size() - 1);
  };
  std::vector<uint32_t> inputs;
  for (const uint32_t width : c.inputs) {
    inputs.push_back(step(Made<schema::EmbeddingT>(), {}, {{c.vocabulary, width}}, width));
  }
  const uint32_t out = step(c.operation, inputs, c.weights, c.output);
  const uint32_t logits =
      step(Made<schema::LinearT>(), {out}, {{c.vocabulary, c.output}}, c.vocabulary);
  step(Made<schema::SoftcapCrossEntropyT>(), {logits}, {}, 1);
  return program;
}

schema::OperationUnion Attention(uint32_t heads, uint32_t kv_heads, uint32_t width) {
  return Made<schema::AttentionT>([=](schema::AttentionT& op) {
    op.heads = heads;
    op.kv_heads = kv_heads;
    op.head_dim = width;
  });
}
schema::OperationUnion Xsa(uint32_t heads, uint32_t kv_heads, uint32_t width) {
  return Made<schema::XsaT>([=](schema::XsaT& op) {
    op.heads = heads;
    op.kv_heads = kv_heads;
    op.head_dim = width;
  });
}
schema::OperationUnion QkPrepare(uint32_t width, uint32_t rope_dims, uint32_t train_length = 0) {
  return Made<schema::QkPrepareT>([=](schema::QkPrepareT& op) {
    op.head_dim = width;
    op.rope_dims = rope_dims;
    op.train_length = train_length;
  });
}
schema::OperationUnion HeadGate(uint32_t heads) {
  return Made<schema::HeadGateT>([=](schema::HeadGateT& op) { op.heads = heads; });
}

void AddHeads(std::vector<Case>& cases) {
  constexpr auto kHead = static_cast<uint32_t>(kMaxHeadWidth);
  constexpr auto kGroup = static_cast<uint32_t>(kMaxXsaGroup);
  struct Heads {
    uint32_t heads, kv_heads, width;
    bool attention, xsa;  // that takes them
  };
  for (const Heads& h : {Heads{1, 1, 1, true, true},
                         {1, 1, 3, true, true},
                         {3, 1, 5, true, true},
                         {1, 1, kHead, true, true},
                         {1, 1, kHead + 1, false, false},
                         {1, 1, 2 * kHead, false, false},
                         {kGroup, 1, 2, true, true},
                         {kGroup + 1, 1, 2, true, false},
                         {2 * kGroup, 2, 2, true, true},
                         {2 * kGroup + 2, 2, 2, true, false},
                         {1024, 1, 1, true, false},
                         {1024, 1024, kHead, true, true},
                         {1025, 1, 1, false, false},
                         {2, 3, 4, false, false},
                         {3, 2, 4, false, false},
                         {0, 1, 4, false, false},
                         {1, 0, 4, false, false},
                         {1, 1, 0, false, false}}) {
    const std::string name =
        std::to_string(h.heads) + "_" + std::to_string(h.kv_heads) + "_" + std::to_string(h.width);
    const uint32_t q = std::max(1U, h.heads * h.width), kv = std::max(1U, h.kv_heads * h.width);
    cases.push_back({"Attention_" + name,
                     Attention(h.heads, h.kv_heads, h.width),
                     {q, kv, kv},
                     {},
                     q,
                     5,
                     3,
                     !h.attention});
    cases.push_back(
        {"Xsa_" + name, Xsa(h.heads, h.kv_heads, h.width), {q, kv}, {}, q, 5, 3, !h.xsa});
  }
  struct Rotation {
    uint32_t heads, width, rope_dims, train_length;
    bool taken;
  };
  for (const Rotation& r : {Rotation{1, 1, 0, 0, true},
                            {3, 2, 2, 0, true},
                            {1, kHead, kHead, 0, true},
                            {2, kHead, 0, 0, true},
                            {kWidest / kHead, kHead, 16, 2, true},
                            {kWidest, 1, 0, 0, true},
                            {1, kHead + 1, 0, 0, false},
                            {1, kHead + 2, kHead + 2, 0, false},
                            {1, 8, 3, 0, false},
                            {1, 8, 10, 0, false},
                            {1, 8, 2, 2, false},
                            {1, 0, 0, 0, false}}) {
    const std::string name = std::to_string(r.heads) + "_" + std::to_string(r.width) + "_" +
                             std::to_string(r.rope_dims) + "_" + std::to_string(r.train_length);
    const uint32_t width = std::max(1U, r.heads * r.width);
    cases.push_back({"QkPrepare_" + name,
                     QkPrepare(r.width, r.rope_dims, r.train_length),
                     {width},
                     {{r.heads}},
                     width,
                     5,
                     3,
                     !r.taken});
  }
  for (const auto& [heads, width, taken] : {std::tuple{1U, 1U, true},
                                            {1U, kWidest, true},
                                            {1024U, 1024U, true},
                                            {1024U, kWidest, true},
                                            {1025U, 1025U, false},
                                            {0U, 4U, false},
                                            {3U, 4U, false}}) {
    cases.push_back({Numbered(Numbered("HeadGate_", heads) + "_", width),
                     HeadGate(heads),
                     {width, std::max(1U, heads)},
                     {},
                     width,
                     5,
                     3,
                     !taken});
  }
}

// Operations that care about the width alone.
void AddWidths(std::vector<Case>& cases) {
  for (const uint32_t w : {1U, 2U, 17U, 2049U, kWidest}) {
    const std::string at = Numbered("_", w);
    const auto add = [&](const char* name, schema::OperationUnion op, std::vector<uint32_t> inputs,
                         std::vector<Shape> weights) {
      cases.push_back({name + at, std::move(op), std::move(inputs), std::move(weights), w});
    };
    add("Embedding", Made<schema::EmbeddingT>(), {}, {{5, w}});
    for (const auto hash : {schema::HashKind::XorPrimes, schema::HashKind::Polynomial}) {
      add(hash == schema::HashKind::XorPrimes ? "HashEmbedding_xor" : "HashEmbedding_polynomial",
          Made<schema::HashEmbeddingT>([=](schema::HashEmbeddingT& op) { op.hash = hash; }), {},
          {{2, w}});
    }
    add("Linear_from_1", Made<schema::LinearT>(), {1}, {{w, 1}});
    cases.push_back({"Linear_to_1" + at, Made<schema::LinearT>(), {w}, {{1, w}}, 1});
    add("RmsNorm", Made<schema::RmsNormT>(), {w}, {});
    add("Smear", Made<schema::SmearT>(), {w}, {{w}});
    add("Add", Made<schema::AddT>(), {w, w}, {});
    add("Scale", Made<schema::ScaleT>(), {w}, {{w}});
    add("Scale_by_one_number", Made<schema::ScaleT>(), {w}, {{1}});
    add("ScaledAdd", Made<schema::ScaledAddT>([](auto& op) { op.row = 2; }), {w, w}, {{3, w}});
    add("ScaledAdd_by_one_number", Made<schema::ScaledAddT>(), {w, w}, {{}});
    add("Mix", Made<schema::MixT>(), {w, w}, {{2, w}});
    add("Mix_by_two_numbers", Made<schema::MixT>(), {w, w}, {{2}});
    add("GatedSkip", Made<schema::GatedSkipT>([](auto& op) { op.row = 1; }), {w, w},
        {{2, w}, {2, w}});
    add("SquaredRelu", Made<schema::SquaredReluT>(), {w}, {});
    add("SquaredRelu_scaled", Made<schema::SquaredReluT>(), {w}, {{w}, {w}});
    add("Bias", Made<schema::BiasT>(), {w}, {{w}});
    add("Gelu", Made<schema::GeluT>(), {w}, {});
    add("GatedAdd", Made<schema::GatedAddT>(), {w, w}, {{1}});
  }
  const uint32_t beyond = kWidest + 1;
  cases.push_back({"Gelu_beyond", Made<schema::GeluT>(), {beyond}, {}, beyond, 5, 3, true});
  cases.push_back(
      {"Linear_beyond", Made<schema::LinearT>(), {1}, {{beyond, 1}}, beyond, 5, 3, true});
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  AddHeads(cases);
  AddWidths(cases);
  for (const uint32_t vocabulary : {2U, 65'536U, kWidest}) {
    cases.push_back(
        {Numbered("vocabulary_of_", vocabulary), Made<schema::GeluT>(), {4}, {}, 4, vocabulary});
  }
  cases.push_back({"vocabulary_of_1", Made<schema::GeluT>(), {4}, {}, 4, 1, 3, true});
  cases.push_back({"window_of_1", Attention(2, 1, 4), {8, 4, 4}, {}, 8, 5, 1});
  cases.push_back({"window_of_1025", Attention(2, 1, 4), {8, 4, 4}, {}, 8, 5, 1025});
  cases.push_back({"window_of_0", Attention(2, 1, 4), {8, 4, 4}, {}, 8, 5, 0, true});
  for (const double number : {0.0, -1.0, 1e-60, 1e60, std::nan(""), HUGE_VAL}) {
    const std::string at = Numbered("_", cases.size());
    const bool bad_slope = !std::isfinite(static_cast<float>(number));
    cases.push_back({"RmsNorm_eps" + at,
                     Made<schema::RmsNormT>([=](auto& op) { op.eps = number; }),
                     {4},
                     {},
                     4,
                     5,
                     3,
                     true});
    cases.push_back({"RmsNorm_scale" + at,
                     Made<schema::RmsNormT>([=](auto& op) { op.scale = number; }),
                     {4},
                     {},
                     4,
                     5,
                     3,
                     true});
    cases.push_back({"QkPrepare_eps" + at,
                     Made<schema::QkPrepareT>([=](auto& op) {
                       op.head_dim = 4;
                       op.eps = number;
                     }),
                     {4},
                     {},
                     4,
                     5,
                     3,
                     true});
    cases.push_back({"SquaredRelu_slope" + at,
                     Made<schema::SquaredReluT>([=](auto& op) { op.negative_slope = number; }),
                     {4},
                     {},
                     4,
                     5,
                     3,
                     bad_slope});
  }
  return cases;
}

class OperationLimits : public testing::TestWithParam<Case> {
 protected:
  static TensorSet Weights(const schema::ProgramT& program) {
    TensorSet weights(program);
    std::minstd_rand random(3);
    for (float& w : weights.all()) {
      w = static_cast<float>(random() % 2001) / 1000.0F - 1.0F;
    }
    return weights;
  }
};

TEST_P(OperationLimits, AreRefusedOrRun) {
  const auto program = ProgramOf(GetParam());
  const Status checked = CheckProgram(*program);
  if (GetParam().refused) {
    EXPECT_EQ(checked.code(), Code::kBadData);
    EXPECT_GT(checked.message().size(), 15U) << checked.message();
    return;
  }
  ASSERT_TRUE(checked.ok()) << checked.message();
  const KernelTable* kernels = *CpuKernels();
  TensorSet weights = Weights(*program), gradients = weights.SameLayout();
  constexpr size_t kBatch = 2;
  std::vector<int32_t> ids(kBatch * program->window);
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>(i * 7 % program->vocab_size);
  }
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    for (const size_t rows : {size_t{1}, size_t{program->window}}) {
      const auto executor =
          Executor::Create(*kernels, *program, weights,
                           {.precision = precision, .batch = kBatch, .scored_rows = rows});
      ASSERT_TRUE(executor.ok()) << executor.status().message();
      std::vector<float> nll(kBatch * rows);
      const std::vector<uint32_t> first(kBatch, static_cast<uint32_t>(program->window - rows));
      (*executor)->Score(ids, first, std::span(ids).first(nll.size()), nll);
      for (const float x : nll) EXPECT_TRUE(std::isfinite(x)) << x;
    }
    const auto executor =
        Executor::Create(*kernels, *program, weights,
                         {.mode = Mode::kTrain, .precision = precision, .batch = kBatch});
    ASSERT_TRUE(executor.ok()) << executor.status().message();
    EXPECT_TRUE(std::isfinite((*executor)->Train(ids, ids, 1.0F, gradients)));
    for (const float x : gradients.all()) ASSERT_TRUE(std::isfinite(x)) << x;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, OperationLimits, testing::ValuesIn(Cases()),
                         [](const auto& of) { return of.param.name; });

// The walk above has to name every operation that there is. SoftcapCrossEntropy ends each of its programs.
TEST(OperationLimitsWalk, LeavesNoOperationOut) {
  for (const Operation operation : schema::EnumValuesOperation()) {
    if (operation == Operation::NONE) continue;
    const std::string name = schema::EnumNameOperation(operation);
    const auto walks = [&](const Case& c) { return c.operation.type == operation && !c.refused; };
    const std::vector<Case> cases = Cases();
    EXPECT_TRUE(operation == Operation::SoftcapCrossEntropy || std::ranges::any_of(cases, walks))
        << name;
  }
}

// Sentences that say what was wrong, where, and what is taken.
TEST(OperationLimitsWalk, NamesWhatIsRefused) {
  const Case wide{"", Attention(1, 1, 512), {512, 512, 512}, {}, 512};
  EXPECT_EQ(CheckProgram(*ProgramOf(wide)).message(),
            "program: step 3: Attention 'value3': expected a head width of 1 to 256, found 512");
  const Case crowd{"", Xsa(65, 1, 2), {130, 2}, {}, 130};
  EXPECT_EQ(CheckProgram(*ProgramOf(crowd)).message(),
            "program: step 2: Xsa 'value2': expected at most 64 query heads per key/value head, "
            "found 65");
}

}  // namespace
}  // namespace golf
