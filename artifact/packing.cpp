#include "artifact/packing.h"

#include <algorithm>
#include <string_view>

#include "artifact/tensor_encoder.h"
#include "kernels/base/check.h"

namespace golf {
namespace {

// PR 598 and 668: tensors of up to 65,536 elements are kept as floats, gains, gates and side embeddings as fp32.
constexpr size_t kSmall = 65536;
constexpr size_t kAny = PackingRule().max_elements;
// The scripts' classes of names, in this order; other names are tables.
const std::vector<std::string> kEmbeddings = {"tok_emb", "lm_head"};
const std::vector<std::string> kLinearLayers = {".mlp.", ".attn.", ".proj."};

std::vector<PackingRule> SmallTensorRules() {
  return {{kSmall,
           {"attn_scale", "mlp_scale", "resid_mix", "q_gain", "skip_weight", "skip_gates",
            "smear_gate", "bigram", "ve_shared", "ve_layer_scales"},
           Storage::kFloat32},
          {kSmall, {}, Storage::kFloat16}};
}

Packing Pr598() {
  Packing packing{"pr598", SmallTensorRules()};
  packing.rules.push_back({kAny, kEmbeddings, quantisers::Int8PerTensor()});
  packing.rules.push_back(
      {kAny, kLinearLayers, quantisers::RowsWithSearch(-32, 31, quantisers::Clips5())});
  packing.rules.push_back({kAny, {}, quantisers::Int8PerTensor()});
  return packing;
}

Packing Pr668() {
  Packing packing{"pr668", SmallTensorRules()};
  packing.rules.push_back({kAny, {}, quantisers::RowsWithSearch(-32, 31, quantisers::Clips15())});
  return packing;
}

// Beyond a few thousand weights a matrix is worth its codes. No floor: each row has the step that fits it best, and the
// codes are chosen with the step as stored. Token tables take part in the logits twice, so they get more levels.
Packing OurRows(const std::string& name, int lowest, int highest) {
  constexpr size_t kVectors = 4096;
  QuantiserSettings table = quantisers::Int8PerRow();
  table.floor_step = 0;
  table.clip_fractions = {1.0};
  table.stored_step = StoredStep::kAlways;
  return {name,
          {{kVectors, {}, Storage::kFloat16},
           {kAny, {"tok_emb"}, table},
           {kAny, {}, quantisers::BestRows(lowest, highest)}}};
}

// PR 1004 and 1232 keep everything small as fp16, larger gains and gates as fp32, linear layers as `matrices` and the rest
// as `tables`.
Packing Pr1004Family(const std::string& name, QuantiserSettings matrices, PackingRule tables) {
  PackingRule embeddings = tables;
  embeddings.name_parts = kEmbeddings;
  return {name,
          {{kSmall, {}, Storage::kFloat16},
           {kAny,
            {"attn_scale", "mlp_scale", "resid_mix", "q_gain", "skip_weight", "smear",
             "ve_layer_scales", "ve_shared.scale", "vr_lambda", "attn_gate"},
            Storage::kFloat32},
           std::move(embeddings),
           {kAny, kLinearLayers, std::move(matrices)},
           std::move(tables)}};
}

PackingRule Int8Tables() { return {kAny, {}, quantisers::Int8PerRow(), false}; }

Packing Pr1004() {
  Packing packing = Pr1004Family("pr1004", quantisers::Pr1004Rows(-15, 15), Int8Tables());
  packing.prune = 0.10;
  return packing;
}

Packing Pr1232() {
  return Pr1004Family("pr1232", quantisers::RowsPlain(-32, 31, 1.0), Int8Tables());
}

Packing Pr1232Int6() {
  const QuantiserSettings int6 = quantisers::RowsPlain(-32, 31, 1.0);
  return Pr1004Family("pr1232-int6", int6, {kAny, {}, int6});
}

Packing Pr1238() {
  Packing packing = Pr1004();
  packing.name = "pr1238";
  packing.prune = 0.05;
  PackingRule int4{kAny, {}, quantisers::Pr1004Rows(-7, 7)};
  for (int block = 2; block <= 8; ++block) {
    for (const char* part : {".attn.c_v.", ".attn.proj.", ".mlp."})
      int4.name_parts.push_back("blocks." + std::to_string(block) + part);
  }
  return WithMatricesAs(std::move(packing), std::move(int4));
}

Packing Float() { return {"float", {{kAny, {}, Storage::kFloat32}}}; }

std::vector<Packing> AllPackings() {
  return {OurRows("int6", -32, 31),
          OurRows("int5", -15, 15),
          Pr598(),
          Pr668(),
          Pr1004(),
          Pr1232(),
          Pr1232Int6(),
          Pr1238(),
          Float()};
}

bool Fits(const PackingRule& rule, const TensorView& tensor) {
  if (tensor.data.size() > rule.max_elements) return false;
  return rule.name_parts.empty() ||
         std::any_of(rule.name_parts.begin(), rule.name_parts.end(), [&](const std::string& part) {
           return tensor.name.find(part) != std::string_view::npos;
         });
}

}  // namespace

std::vector<std::string> PackingNames() {
  std::vector<std::string> names;
  for (const Packing& packing : AllPackings()) names.push_back(packing.name);
  return names;
}

std::string DefaultPacking(std::string_view recipe) {
  std::string best = "int6";
  for (const std::string& name : PackingNames()) {
    if (!name.starts_with("pr")) continue;
    if (recipe == name) return name;
    if (recipe.starts_with(name + "-")) best = name;
  }
  return best;
}

Result<Packing> FindPacking(const std::string& name) {
  std::string known;
  for (Packing& packing : AllPackings()) {
    if (packing.name == name) return std::move(packing);
    known += " " + packing.name;
  }
  return Status{Code::kUsage, "no packing preset '" + name + "'; there are:" + known};
}

Packing WithMatricesAs(Packing packing, PackingRule rule) {
  const auto first_codes = std::find_if(
      packing.rules.begin(), packing.rules.end(),
      [](const auto& r) { return std::holds_alternative<QuantiserSettings>(r.encoding); });
  packing.rules.insert(first_codes, std::move(rule));
  return packing;
}

const PackingRule& RuleOf(const Packing& packing, const TensorView& tensor) {
  const auto rule = std::find_if(packing.rules.begin(), packing.rules.end(),
                                 [&](const PackingRule& r) { return Fits(r, tensor); });
  GOLF_CHECK(rule != packing.rules.end());
  return *rule;
}

Result<std::vector<EncodedTensor>> EncodeTensors(const Packing& packing,
                                                 std::span<const TensorView> tensors,
                                                 const EncodeOptions& options,
                                                 std::vector<GptqGain>* gains) {
  const TensorEncoder encoder(packing, tensors, options);
  std::vector<EncodedTensor> encoded;
  for (size_t i = 0; i < tensors.size(); ++i) {
    GOLF_ASSIGN(EncodedTensor e, encoder.Encode(i));
    encoded.push_back(std::move(e));
  }
  if (gains == nullptr) return encoded;

  EncodeOptions as_published = options;
  as_published.gptq.mode = GptqMode::kReference;
  const TensorEncoder published(packing, tensors, as_published);
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!encoder.codes(i) || !encoder.has_feedback(i)) continue;
    GOLF_ASSIGN(const EncodedTensor nearest,
                encoder.EncodeAs(i, *encoder.codes(i), options.prune, true));
    GOLF_ASSIGN(const EncodedTensor reference, published.Encode(i));
    gains->push_back({std::string(tensors[i].name), encoder.ErrorShare(i, nearest),
                      encoder.ErrorShare(i, reference), encoder.ErrorShare(i, encoded[i])});
  }
  return encoded;
}

}  // namespace golf
