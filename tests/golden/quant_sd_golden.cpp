// A whole state dict through the packing of a reference script: which tensors are quantised and how, integers, scales,
// dequantised values, and what is kept as it is.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "artifact/fit.h"
#include "artifact/packing.h"
#include "tests/golden/kinds.h"
#include "tests/golden/state_dict.h"

namespace golf::test {
namespace {

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
  StateDict sd(c);
  for (std::string& name : sd.names) name = NameIn(c.pr, name);
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

void ExpectCodes(const GoldenCase& c, const std::string& q, const std::string& scale,
                 const EncodedTensor& tensor) {
  const std::vector<int32_t> codes(tensor.codes().begin(), tensor.codes().end());
  c.ExpectInts(q, codes);
  c.Expect(scale, tensor.ScalesAsFloat());
}

void CheckPacked(const GoldenCase& c, const std::string& prefix, const StateDict& sd,
                 const Packing& packing, const EncodeOptions& options = {}) {
  const auto encoded = EncodeTensors(packing, sd.views(), options);
  ASSERT_TRUE(encoded.ok()) << encoded.status().message();
  for (size_t i = 0; i < sd.names.size(); ++i) {
    const EncodedTensor& tensor = (*encoded)[i];
    const std::string& name = sd.names[i];
    const auto recorded = [&](const char* what) {
      return fmt::format("{}{}/{}", prefix, what, name);
    };
    std::vector<float> weights(sd.data[i].size());
    Dequantise(tensor, weights);
    if (c.Has(recorded("pass"))) {
      EXPECT_NE(tensor.encoding.storage, Storage::kCodes) << name;
      c.Expect(recorded("pass"), weights);
      continue;
    }
    EXPECT_EQ(tensor.encoding.storage, Storage::kCodes) << name;
    ExpectCodes(c, recorded("q"), recorded("scale"), tensor);
    weights.resize(c.Get(recorded("deq_head")).size());
    c.Expect(recorded("deq_head"), weights);
  }
  if (!c.info().contains("stats")) return;
  uint64_t payload = 0;
  for (const EncodedTensor& t : *encoded) payload += t.data.size() + t.scales.size();
  EXPECT_EQ(payload, c.info()["stats"]["int6_payload_bytes"].get<uint64_t>());
}

// 10 % pruned, GPTQ where there is a Hessian.
void CheckPr1004(const GoldenCase& c, const StateDict& sd) {
  HessianSet hessians;
  for (const std::string& name : c.Names("hessian/")) {
    hessians.by_weight[name.substr(8) + ".weight"] =
        std::make_shared<const std::vector<float>>(c.Get(name).f32());
  }
  EncodeOptions options;
  options.hessians = &hessians;
  options.gptq.mode = GptqMode::kReference;
  options.prune = c.run().at("prune_pct");
  const Packing packing = *FindPacking("pr1004");
  EXPECT_EQ(options.prune, packing.prune);
  CheckPacked(c, "", sd, packing, options);
}

// Some layers fall back to int5; the embeddings as run and as the text has them.
void CheckPr1232(const GoldenCase& c, const StateDict& sd) {
  const auto int5 = c.run().at("int5_layers").get<std::vector<int>>();
  CheckPacked(c, "", sd, WithInt5Layers(*FindPacking("pr1232"), int5));
  if (!c.Has("embed_int6/q")) return;
  const auto at = std::find(sd.names.begin(), sd.names.end(), "tok_emb.weight");
  const auto encoded = EncodeTensors(*FindPacking("pr1232-int6"), sd.views());
  ASSERT_TRUE(encoded.ok()) << encoded.status().message();
  ExpectCodes(c, "embed_int6/q", "embed_int6/scale",
              (*encoded)[static_cast<size_t>(at - sd.names.begin())]);
}

}  // namespace

void QuantSdGolden(const GoldenCase& c) {
  const StateDict sd = LoadStateDict(c);
  if (c.pr == 1004) return CheckPr1004(c, sd);
  if (c.pr == 1232) return CheckPr1232(c, sd);
  for (const auto& variant : c.run().at("variants")) {  // [prefix, mixed, int8 storage]
    CheckPacked(c, variant[0].get<std::string>(), sd,
                GepaPacking(c.pr, variant[1].get<int>() != 0, variant[2].get<int>() != 0,
                            c.run().at("quant_embed").get<int>() != 0));
  }
}

}  // namespace golf::test
