#include "tests/fuzz/forged_artifacts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <span>

#include "artifact/artifact_layout.h"
#include "artifact/artifact_write.h"
#include "artifact/sha256.h"
#include "artifact/stream_coder.h"
#include "kernels/base/check.h"
#include "runtime/program.h"
#include "schemas/artifact_generated.h"
#include "schemas/program_generated.h"
#include "trainer/network.h"

namespace golf::test {
namespace {

using Bytes = std::vector<uint8_t>;

// Numbers on which arithmetic with sizes, limits and counts breaks.
constexpr std::array<uint32_t, 18> kSizes = {
    0,   1,   2,   3,     7,     63,         64,         65,         255,
    256, 257, 512, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
constexpr std::array<double, 10> kReals = {0,
                                           -0.0,
                                           -1,
                                           1e-320,
                                           1e308,
                                           -1e308,
                                           std::numeric_limits<double>::infinity(),
                                           -std::numeric_limits<double>::infinity(),
                                           std::numeric_limits<double>::quiet_NaN(),
                                           0.5};

// Choices, the same in every standard library.
class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}
  uint32_t Below(size_t n) { return static_cast<uint32_t>(random_() % n); }
  template <class List>
  auto& OneOf(List& list) {
    return list[Below(list.size())];
  }
  std::string Name() {
    static const std::array<std::string, 8> kNames = {"",
                                                      "tok_emb.weight",
                                                      std::string(300, 'n'),
                                                      std::string(100'000, '.'),
                                                      "\x1b[2J",
                                                      "a\nb",
                                                      "\xff\xfe\x80",
                                                      "\xe2\x80\xae"
                                                      "drow"};
    return OneOf(kNames);
  }

 private:
  std::mt19937 random_;
};

// What an artifact is made of, before it is serialised.
struct Draft {
  std::unique_ptr<schema::ProgramT> program;
  TokenizerInfo tokenizer;
  Provenance provenance = {"golf-pack 0.1.0", "int6", "ema", 7};
  std::vector<EncodedTensor> tensors;
};

NetworkConfig SmallConfig() {
  NetworkConfig c;
  c.name = "small";
  c.window = 16;
  c.vocab_size = 8;
  c.num_layers = 2;
  c.model_dim = 8;
  c.num_heads = 2;
  c.num_kv_heads = 1;
  c.mlp_hidden = 8;
  c.rope_dims = 2;
  c.rope_train_seq_len = 0;
  c.bigram_buckets = 4;
  c.bigram_embed_dim = 4;
  c.xsa_last_n = 1;
  c.ve_dim = 4;
  c.ve_layers = {1};
  c.value_residual = c.gated_attention = true;
  c.flow_latent_dim = c.flow_hidden_dim = 4;
  return c;
}

void Append(Bytes& to, const void* value, size_t bytes) {
  const auto* from = static_cast<const uint8_t*>(value);
  to.insert(to.end(), from, from + bytes);
}

// A tensor of small made-up weights: matrices as codes with a scale per row, the rest as fp32.
EncodedTensor MakeTensor(const std::string& name, const std::vector<uint32_t>& shape) {
  EncodedTensor tensor{name, shape, {}, {}, {}};
  const size_t count = ElementCount(shape);
  if (shape.size() == 2) {
    tensor.encoding = {Storage::kCodes, -32, 31, ScaleType::kFloat16, ScaleAxis::kRow};
    for (size_t i = 0; i < count; ++i)
      tensor.data.push_back(static_cast<uint8_t>(static_cast<int>(i * 7 % 64) - 32));
    for (uint32_t row = 0; row < shape[0]; ++row) {
      const uint16_t scale = 0x2000;  // 2^-7
      Append(tensor.scales, &scale, sizeof(scale));
    }
    return tensor;
  }
  for (size_t i = 0; i < count; ++i) {
    const float weight = 0.01F * static_cast<float>(1 + i % 9);
    Append(tensor.data, &weight, sizeof(weight));
  }
  return tensor;
}

Draft HonestDraft() {
  Draft draft;
  draft.program = BuildNetwork(SmallConfig());
  for (const auto& weight : draft.program->weights)
    draft.tensors.push_back(MakeTensor(weight->name, weight->shape));
  draft.tokenizer.sha256 = std::string(64, '7');
  draft.tokenizer.byte_table = {
      {0, 1, 2, 3, 4, 5, 6, 7}, {0, 0, 1, 0, 1, 0, 1, 0}, {1, 0, 0, 0, 0, 0, 0, 0}};
  return draft;
}

Bytes Serialise(const Draft& draft) {
  const Bytes program = SerialiseProgram(*draft.program);
  return SerialiseArtifact({program, draft.tokenizer, draft.provenance, draft.tensors}, 3);
}

// An operation with other attributes.
struct ForgeAttributes {
  Dice& dice;
  void operator()(schema::AttentionT& o) const {
    switch (dice.Below(4)) {
      case 0:
        o.heads = dice.OneOf(kSizes);
        break;
      case 1:
        o.kv_heads = dice.OneOf(kSizes);
        break;
      case 2:
        o.head_dim = dice.OneOf(kSizes);
        break;
      default:
        o.heads = 8, o.kv_heads = dice.OneOf(kSizes), o.head_dim = 1;
    }
  }
  void operator()(schema::XsaT& o) const {
    uint32_t* const fields[] = {&o.heads, &o.kv_heads, &o.head_dim};
    *fields[dice.Below(3)] = dice.OneOf(kSizes);
  }
  void operator()(schema::QkPrepareT& o) const {
    switch (dice.Below(5)) {
      case 0:
        o.head_dim = dice.OneOf(kSizes);
        break;
      case 1:
        o.rope_dims = dice.OneOf(kSizes);
        break;
      case 2:
        o.rope_base = dice.OneOf(kReals);
        break;
      case 3:
        o.train_length = dice.OneOf(kSizes);
        break;
      default:
        o.eps = dice.OneOf(kReals);
    }
  }
  void operator()(schema::RmsNormT& o) const {
    (dice.Below(2) == 0 ? o.scale : o.eps) = dice.OneOf(kReals);
  }
  void operator()(schema::SquaredReluT& o) const { o.negative_slope = dice.OneOf(kReals); }
  void operator()(schema::SoftcapCrossEntropyT& o) const { o.softcap = dice.OneOf(kReals); }
  void operator()(schema::GatedSkipT& o) const { o.row = dice.OneOf(kSizes); }
  void operator()(schema::ScaledAddT& o) const { o.row = dice.OneOf(kSizes); }
  void operator()(schema::HeadGateT& o) const { o.heads = dice.OneOf(kSizes); }
};

void ForgeOperation(Dice& dice, schema::OperationUnion& operation) {
  const ForgeAttributes forge{dice};
  if (auto* o = operation.AsAttention()) forge(*o);
  if (auto* o = operation.AsXsa()) forge(*o);
  if (auto* o = operation.AsQkPrepare()) forge(*o);
  if (auto* o = operation.AsRmsNorm()) forge(*o);
  if (auto* o = operation.AsSquaredRelu()) forge(*o);
  if (auto* o = operation.AsSoftcapCrossEntropy()) forge(*o);
  if (auto* o = operation.AsGatedSkip()) forge(*o);
  if (auto* o = operation.AsScaledAdd()) forge(*o);
  if (auto* o = operation.AsHeadGate()) forge(*o);
}

// The steps that have attributes are few: look for one.
schema::StepT& StepWithAttributes(Dice& dice, schema::ProgramT& program) {
  for (int i = 0; i < 100; ++i) {
    schema::StepT& step = *dice.OneOf(program.steps);
    const auto type = step.operation.type;
    if (type != schema::Operation::Linear && type != schema::Operation::Mix &&
        type != schema::Operation::Bias && type != schema::Operation::Add)
      return step;
  }
  return *program.steps.back();
}

void ForgeProgram(Dice& dice, Draft& draft) {
  schema::ProgramT& p = *draft.program;
  schema::StepT& step = *dice.OneOf(p.steps);
  switch (dice.Below(14)) {
    case 0:
    case 1:
    case 2:
    case 3:
      ForgeOperation(dice, StepWithAttributes(dice, p).operation);
      break;
    case 4:
      if (!step.inputs.empty()) dice.OneOf(step.inputs) = dice.OneOf(kSizes);
      break;
    case 5:
      if (!step.weights.empty()) dice.OneOf(step.weights) = dice.OneOf(kSizes);
      break;
    case 6:
      step.outputs = {dice.OneOf(kSizes)};
      break;
    case 7:
      dice.OneOf(p.values)->width = dice.OneOf(kSizes);
      break;
    case 8: {  // and a tensor that fits, if it is not too large
      const size_t i = dice.Below(p.weights.size());
      std::vector<uint32_t>& shape = p.weights[i]->shape;
      shape.resize(dice.Below(4));
      for (uint32_t& d : shape) d = dice.Below(3) == 0 ? dice.OneOf(kSizes) : 8;
      double count = 1;
      for (const uint32_t d : shape) count *= d;
      if (count <= 1 << 20) draft.tensors[i] = MakeTensor(p.weights[i]->name, shape);
      break;
    }
    case 9:
      (dice.Below(2) == 0 ? p.vocab_size : p.window) = dice.OneOf(kSizes);
      break;
    case 10:
      p.steps.erase(p.steps.begin() + dice.Below(p.steps.size()));
      break;
    case 11:
      std::swap(dice.OneOf(p.steps), dice.OneOf(p.steps));
      break;
    case 12: {
      const size_t i = dice.Below(p.weights.size());
      p.weights[i]->name = draft.tensors[i].name = dice.Name();
      break;
    }
    default:
      step.inputs.resize(dice.Below(5));
      step.weights.resize(dice.Below(5));
  }
}

void ForgeTensor(Dice& dice, Draft& draft) {
  const size_t i = dice.Below(draft.tensors.size());
  EncodedTensor& t = draft.tensors[i];
  const auto overwrite = [&dice](Bytes& bytes, std::span<const uint8_t> value) {
    if (bytes.size() < value.size()) return;
    const size_t at = dice.Below(bytes.size() / value.size()) * value.size();
    std::copy(value.begin(), value.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
  };
  switch (dice.Below(10)) {
    case 0: {  // fp16: NaN, infinity, 0, negative, the smallest, the largest
      constexpr std::array<uint16_t, 6> kScales = {0x7e00, 0x7c00, 0, 0xa000, 1, 0x7bff};
      const uint16_t scale = dice.OneOf(kScales);
      overwrite(t.scales, {reinterpret_cast<const uint8_t*>(&scale), sizeof(scale)});
      break;
    }
    case 1: {
      const auto weight = static_cast<float>(dice.OneOf(kReals));
      overwrite(t.data, {reinterpret_cast<const uint8_t*>(&weight), sizeof(weight)});
      break;
    }
    case 2: {
      const uint8_t code = static_cast<uint8_t>(dice.Below(256));
      overwrite(t.data, {&code, 1});
      break;
    }
    case 3:
      t.encoding.lowest = static_cast<int8_t>(dice.Below(256));
      t.encoding.highest = static_cast<int8_t>(dice.Below(256));
      break;
    case 4:
      t.encoding.scale_axis = ScaleAxis::kTensor;
      break;
    case 5:
      t.encoding.scale_type = ScaleType::kFloat32;
      break;
    case 6:
      t.name = dice.Name();
      break;
    case 7:
      std::reverse(t.shape.begin(), t.shape.end());
      t.shape.insert(t.shape.begin(), dice.Below(3), dice.OneOf(kSizes));
      break;
    case 8:
      draft.tensors.push_back(draft.tensors[dice.Below(draft.tensors.size())]);
      break;
    default:
      draft.tensors.erase(draft.tensors.begin() + static_cast<ptrdiff_t>(i));
  }
}

void ForgeTokenizer(Dice& dice, Draft& draft) {
  ByteTable& table = draft.tokenizer.byte_table;
  switch (dice.Below(5)) {
    case 0: {
      const size_t size = dice.Below(2) == 0 ? dice.Below(16) : 70'000;
      table.bytes.resize(size, 1);
      table.leading_space.resize(size, 1);
      table.boundary.resize(size, 1);
      break;
    }
    case 1:
      std::fill(table.bytes.begin(), table.bytes.end(), static_cast<uint16_t>(0xffff));
      break;
    case 2:
      std::fill(table.bytes.begin(), table.bytes.end(), static_cast<uint16_t>(0));
      break;
    case 3:
      std::fill(table.boundary.begin(), table.boundary.end(), static_cast<uint8_t>(1));
      break;
    default:
      draft.provenance = {dice.Name(), dice.Name(), dice.Name(), ~uint64_t{0}};
  }
}

// Header, description and streams of a file, and back.
struct Parts {
  ArtifactHeader header;
  schema::ArtifactT root;
  Bytes streams;
};

Parts TakeApart(const Bytes& file) {
  Parts parts;
  std::memcpy(&parts.header, file.data(), sizeof(parts.header));
  const auto rest = std::span(file).subspan(sizeof(parts.header));
  const auto description = DecodeStream(rest.first(parts.header.description_encoded_bytes), 1,
                                        parts.header.description_decoded_bytes);
  GOLF_CHECK(description.ok());
  schema::GetArtifact(description->data())->UnPackTo(&parts.root);
  parts.streams.assign(rest.begin() + parts.header.description_encoded_bytes,
                       rest.end() - kContentHashBytes);
  return parts;
}

void AppendHash(Bytes& file) {
  const Sha256Digest digest = Sha256::Of(file);
  Append(file, digest.data(), digest.size());
}

Bytes PutTogether(Parts& parts) {
  flatbuffers::FlatBufferBuilder builder;
  schema::FinishArtifactBuffer(builder, schema::Artifact::Pack(builder, &parts.root));
  const Bytes description = EncodeStream({builder.GetBufferPointer(), builder.GetSize()}, 1, 3);
  parts.header.description_encoded_bytes = static_cast<uint32_t>(description.size());
  parts.header.description_decoded_bytes = builder.GetSize();
  Bytes file;
  Append(file, &parts.header, sizeof(parts.header));
  Append(file, description.data(), description.size());
  Append(file, parts.streams.data(), parts.streams.size());
  AppendHash(file);
  return file;
}

Bytes ForgeDescription(Dice& dice, const Bytes& honest) {
  Parts parts = TakeApart(honest);
  schema::ArtifactT& root = parts.root;
  schema::TensorT& tensor = *dice.OneOf(root.tensors);
  schema::StreamT& stream = *dice.OneOf(root.streams);
  switch (dice.Below(10)) {
    case 0:
      tensor.encoding = static_cast<uint16_t>(dice.OneOf(kSizes));
      break;
    case 1:
      tensor.data_stream = static_cast<uint16_t>(dice.OneOf(kSizes));
      break;
    case 2:
      tensor.scale_stream = static_cast<uint16_t>(dice.OneOf(kSizes));
      break;
    case 3:
      stream.encoded_bytes = dice.OneOf(kSizes);
      break;
    case 4:
      stream.element_bytes = static_cast<uint8_t>(dice.OneOf(kSizes));
      break;
    case 5:
      stream.coder_version = static_cast<uint8_t>(dice.OneOf(kSizes));
      break;
    case 6: {  // as many tensors of the largest legal shape as there may be
      tensor.shape = {1 << 20, 1 << 10};
      break;
    }
    case 7:
      for (int i = 0; i < 20'000; ++i)
        root.streams.push_back(std::make_unique<schema::StreamT>(stream));
      break;
    case 8:
      root.program.resize(dice.Below(root.program.size() + 1));
      break;
    default:
      root.program[dice.Below(root.program.size())] ^= static_cast<uint8_t>(1 + dice.Below(255));
  }
  return PutTogether(parts);
}

// Any byte of the file, with a hash that fits.
Bytes ForgeBytes(Dice& dice, Bytes file) {
  file.resize(file.size() - kContentHashBytes);
  switch (dice.Below(4)) {
    case 0:
      file.resize(1 + dice.Below(file.size()));
      break;
    case 1:
      file.insert(file.end(), 1 + dice.Below(100), 0);
      break;
    case 2:
      file[4 + dice.Below(12)] ^= static_cast<uint8_t>(1 + dice.Below(255));
      break;
    default:
      for (uint32_t i = dice.Below(8); i < 8; ++i)
        file[dice.Below(file.size())] = static_cast<uint8_t>(dice.Below(256));
  }
  AppendHash(file);
  return file;
}

}  // namespace

std::vector<uint8_t> HonestArtifact() { return Serialise(HonestDraft()); }

std::vector<uint8_t> BombArtifact() {
  Draft draft = HonestDraft();
  Dice dice(1);
  EncodedTensor noise = MakeTensor("noise", {1, 1});
  noise.shape = {2048, 1024};
  noise.data.resize(2 << 20);
  for (uint8_t& code : noise.data) code = static_cast<uint8_t>(dice.Below(256));
  noise.encoding = {Storage::kCodes, -128, 127, ScaleType::kFloat16, ScaleAxis::kTensor};
  EncodedTensor zeros = noise;
  zeros.name = "zeros";
  zeros.shape = {1 << 17, 1 << 10};
  zeros.data.assign(size_t{1} << 27, 0);
  draft.tensors.push_back(std::move(noise));
  draft.tensors.push_back(std::move(zeros));
  return Serialise(draft);
}

std::vector<ForgedArtifact> ForgeArtifacts(size_t count) {
  const Bytes honest = HonestArtifact();
  std::vector<ForgedArtifact> forged;
  for (size_t i = 0; i < count; ++i) {
    Dice dice(static_cast<uint32_t>(i));
    Draft draft = HonestDraft();
    const std::string number = " " + std::to_string(i);
    switch (i % 8) {
      case 0:
      case 1:
      case 2:
        ForgeProgram(dice, draft);
        forged.push_back({"program" + number, Serialise(draft)});
        break;
      case 3:
      case 4:
        ForgeTensor(dice, draft);
        forged.push_back({"tensor" + number, Serialise(draft)});
        break;
      case 5:
        ForgeTokenizer(dice, draft);
        forged.push_back({"tokenizer" + number, Serialise(draft)});
        break;
      case 6:
        forged.push_back({"description" + number, ForgeDescription(dice, honest)});
        break;
      default:
        forged.push_back({"bytes" + number, ForgeBytes(dice, honest)});
    }
  }
  return forged;
}

}  // namespace golf::test
