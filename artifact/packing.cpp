#include "artifact/packing.h"

#include <algorithm>
#include <string_view>

#include "kernels/base/check.h"

namespace golf {
namespace {

// PR 598 and 668: tensors of up to 65,536 elements are kept as floats, gains, gates and side embeddings as fp32.
constexpr size_t kSmall = 65536;

std::vector<PackingRule> SmallTensorRules() {
  return {{kSmall,
           {"attn_scale", "mlp_scale", "resid_mix", "q_gain", "skip_weight", "skip_gates",
            "smear_gate", "bigram", "ve_shared", "ve_layer_scales"},
           Storage::kFloat32},
          {kSmall, {}, Storage::kFloat16}};
}

Packing Pr598() {
  Packing packing{"pr598", SmallTensorRules()};
  packing.rules.push_back({PackingRule().max_elements,
                           {".mlp.", ".attn.", ".proj."},
                           quantisers::RowsWithSearch(-32, 31, quantisers::Clips5())});
  packing.rules.push_back({PackingRule().max_elements, {}, quantisers::Int8PerTensor()});
  return packing;
}

Packing Pr668() {
  Packing packing{"pr668", SmallTensorRules()};
  packing.rules.push_back(
      {PackingRule().max_elements, {}, quantisers::RowsWithSearch(-32, 31, quantisers::Clips15())});
  return packing;
}

// Beyond a few thousand weights a matrix is worth its codes. No floor: each row has the step that fits it best, and the
// codes are chosen with the step as stored. Token tables take part in the logits twice, so they get more levels.
Packing Int6() {
  constexpr size_t kVectors = 4096;
  QuantiserSettings rows = quantisers::RowsWithSearch(-32, 31, quantisers::Clips15());
  rows.floor_step = 0;
  rows.choice = ClipChoice::kPerRow;
  rows.use_stored_step = true;
  QuantiserSettings table = quantisers::Int8PerRow();
  table.floor_step = 0;
  table.clip_fractions = {1.0};
  table.use_stored_step = true;
  constexpr size_t kAny = PackingRule().max_elements;
  return {"int6",
          {{kVectors, {}, Storage::kFloat16}, {kAny, {"tok_emb"}, table}, {kAny, {}, rows}}};
}

Packing Float() { return {"float", {{PackingRule().max_elements, {}, Storage::kFloat32}}}; }

bool Fits(const PackingRule& rule, const TensorView& tensor) {
  if (tensor.data.size() > rule.max_elements) return false;
  return rule.name_parts.empty() ||
         std::any_of(rule.name_parts.begin(), rule.name_parts.end(), [&](const std::string& part) {
           return tensor.name.find(part) != std::string_view::npos;
         });
}

Result<EncodedTensor> Encode(const PackingRule& rule, const TensorView& tensor) {
  if (const auto* storage = std::get_if<Storage>(&rule.encoding))
    return StoreAsFloat(tensor, *storage);
  return Quantise(tensor, std::get<QuantiserSettings>(rule.encoding));
}

}  // namespace

std::vector<std::string> PackingNames() { return {"int6", "pr598", "pr668", "float"}; }

Result<Packing> FindPacking(const std::string& name) {
  for (const Packing& packing : {Int6(), Pr598(), Pr668(), Float()}) {
    if (packing.name == name) return packing;
  }
  std::string known;
  for (const std::string& n : PackingNames()) known += " " + n;
  return Status{Code::kUsage, "no packing preset '" + name + "'; there are:" + known};
}

Result<std::vector<EncodedTensor>> EncodeTensors(const Packing& packing,
                                                 std::span<const TensorView> tensors) {
  std::vector<EncodedTensor> encoded;
  for (const TensorView& tensor : tensors) {
    const auto rule = std::find_if(packing.rules.begin(), packing.rules.end(),
                                   [&](const PackingRule& r) { return Fits(r, tensor); });
    GOLF_CHECK(rule != packing.rules.end());
    GOLF_ASSIGN(EncodedTensor e, Encode(*rule, tensor));
    encoded.push_back(std::move(e));
  }
  return encoded;
}

}  // namespace golf
