// A whole state dict through the packing of a reference script: which tensors are quantised and how, integers, scales,
// dequantised values, and what is kept as it is.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "artifact/packing.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

struct StateDict {
  std::vector<std::string> names;
  std::vector<std::vector<uint32_t>> shapes;
  std::vector<std::vector<float>> data;

  std::vector<TensorView> views() const {
    std::vector<TensorView> v;
    for (size_t i = 0; i < names.size(); ++i) v.push_back({names[i], shapes[i], data[i]});
    return v;
  }
};

// The inputs have the names of PR 1004 and 1232; 598 and 668 call three modules differently.
std::string NameIn(int pr, std::string name) {
  if (pr != 598 && pr != 668) return name;
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (const size_t at = name.find(from); at != std::string::npos)
      name.replace(at, from.size(), to);
  };
  replace(".mlp.fc.", ".mlp.up_proj.");
  replace("bigram.", "bigram_emb.");
  replace("smear.", "smear_gate.");
  return name;
}

StateDict LoadStateDict(const GoldenCase& c) {
  StateDict sd;
  for (const std::string& name : c.Names("sd/")) {
    const GoldenTensor tensor = c.Get(name);
    sd.names.push_back(NameIn(c.pr, name.substr(3)));
    sd.shapes.emplace_back(tensor.shape().begin(), tensor.shape().end());
    sd.data.push_back(tensor.f32());
  }
  return sd;
}

// PR 598 and 668 share a script with switches; the candidates are each one's own.
Packing GepaPacking(int pr, bool mixed, bool int8_storage, bool quantise_embedding) {
  Packing packing = *FindPacking(mixed ? "pr598" : "pr668");
  const auto clips = pr == 668 ? quantisers::Clips15() : quantisers::Clips5();
  for (PackingRule& rule : packing.rules) {
    auto* settings = std::get_if<QuantiserSettings>(&rule.encoding);
    if (settings == nullptr || settings->clip_fractions.size() == 1) continue;
    *settings = int8_storage ? quantisers::RowsWithSearch(-127, 127, clips)
                             : quantisers::RowsWithSearch(-32, 31, clips);
  }
  if (!quantise_embedding) {
    packing.rules.insert(packing.rules.begin(),
                         {PackingRule().max_elements, {"tok_emb"}, Storage::kFloat16});
  }
  return packing;
}

// PR 1232: some layers fall back to int5 where int6 does not fit.
Packing Pr1232Packing(const std::vector<int>& int5_layers) {
  constexpr size_t kAnySize = PackingRule().max_elements;
  Packing packing{"pr1232", {{65536, {}, Storage::kFloat16}}};
  std::vector<std::string> int5;
  for (const int layer : int5_layers) {
    for (const char* part : {".mlp.", ".attn."}) {
      int5.push_back("blocks." + std::to_string(layer) + part);
    }
  }
  if (!int5.empty()) packing.rules.push_back({kAnySize, int5, quantisers::RowsPlain(-16, 15, 1.0)});
  packing.rules.push_back({kAnySize, {".mlp.", ".attn."}, quantisers::RowsPlain(-32, 31, 1.0)});
  packing.rules.push_back({kAnySize, {}, quantisers::Int8PerRow()});
  return packing;
}

void ExpectCodes(const GoldenCase& c, const std::string& q, const std::string& scale,
                 const EncodedTensor& tensor) {
  const std::vector<int32_t> codes(tensor.codes().begin(), tensor.codes().end());
  c.ExpectInts(q, codes);
  c.Expect(scale, tensor.ScalesAsFloat());
}

void CheckPacked(const GoldenCase& c, const std::string& prefix, const StateDict& sd,
                 const Packing& packing) {
  const auto encoded = EncodeTensors(packing, sd.views());
  ASSERT_TRUE(encoded.ok()) << encoded.status().message();
  for (size_t i = 0; i < sd.names.size(); ++i) {
    const EncodedTensor& tensor = (*encoded)[i];
    const std::string& name = sd.names[i];
    std::vector<float> weights(sd.data[i].size());
    Dequantise(tensor, weights);
    if (c.Has(prefix + "pass/" + name)) {
      EXPECT_NE(tensor.encoding.storage, Storage::kCodes) << name;
      c.Expect(prefix + "pass/" + name, weights);
      continue;
    }
    EXPECT_EQ(tensor.encoding.storage, Storage::kCodes) << name;
    ExpectCodes(c, prefix + "q/" + name, prefix + "scale/" + name, tensor);
    weights.resize(c.Get(prefix + "deq_head/" + name).size());
    c.Expect(prefix + "deq_head/" + name, weights);
  }
  if (!c.info().contains("stats")) return;
  uint64_t payload = 0;
  for (const EncodedTensor& t : *encoded) payload += t.data.size() + t.scales.size();
  EXPECT_EQ(payload, c.info()["stats"]["int6_payload_bytes"].get<uint64_t>());
}

}  // namespace

void QuantSdGolden(const GoldenCase& c) {
  if (c.pr == 1004 && NotYet(c)) return;  // prunes and runs GPTQ
  const StateDict sd = LoadStateDict(c);
  if (c.pr == 1232) {
    CheckPacked(c, "", sd, Pr1232Packing(c.run().at("int5_layers").get<std::vector<int>>()));
    if (!c.Has("embed_int6/q")) return;
    const auto at = std::find(sd.names.begin(), sd.names.end(), "tok_emb.weight");
    const TensorView embedding = sd.views()[static_cast<size_t>(at - sd.names.begin())];
    const auto encoded = Quantise(embedding, quantisers::RowsPlain(-32, 31, 1.0));
    ASSERT_TRUE(encoded.ok()) << encoded.status().message();
    ExpectCodes(c, "embed_int6/q", "embed_int6/scale", *encoded);
    return;
  }
  for (const auto& variant : c.run().at("variants")) {  // [prefix, mixed, int8 storage]
    CheckPacked(c, variant[0].get<std::string>(), sd,
                GepaPacking(c.pr, variant[1].get<int>() != 0, variant[2].get<int>() != 0,
                            c.run().at("quant_embed").get<int>() != 0));
  }
}

}  // namespace golf::test
