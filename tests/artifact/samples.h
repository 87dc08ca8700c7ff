// Small made-up networks, artifacts and checkpoints for the tests of this room.
#pragma once
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "artifact/artifact_write.h"
#include "artifact/packing.h"

namespace golf::test {

struct SampleTensors {
  std::vector<std::string> names;
  std::vector<std::vector<uint32_t>> shapes;
  std::vector<std::vector<float>> data;

  // Normal values of the given deviation.
  void Add(const std::string& name, std::vector<uint32_t> shape, float deviation = 0.2F) {
    std::mt19937 random(static_cast<uint32_t>(names.size() + 1));
    std::normal_distribution<float> normal(0.0F, deviation);
    std::vector<float> values(ElementCount(shape));
    for (float& v : values) v = normal(random);
    names.push_back(name);
    shapes.push_back(std::move(shape));
    data.push_back(std::move(values));
  }

  std::vector<TensorView> views() const {
    std::vector<TensorView> v;
    for (size_t i = 0; i < names.size(); ++i) v.push_back({names[i], shapes[i], data[i]});
    return v;
  }
};

// Every kind of storage: large int6 and int8 tensors, fp16, fp32, a vector, a scalar.
inline SampleTensors SampleNetwork() {
  SampleTensors t;
  t.Add("tok_emb.weight", {300, 256});
  t.Add("bigram_emb.scale", {});
  t.Add("blocks.0.attn_scale", {256});
  t.Add("blocks.0.attn.c_q.weight", {256, 64});
  t.Add("blocks.0.mlp.up_proj.weight", {270, 256}, 1.5F);
  t.Add("blocks.1.mlp.up_proj.weight", {270, 256});
  return t;
}

// Small enough to flip every bit of its artifact.
inline SampleTensors TinyNetwork() {
  SampleTensors t;
  t.Add("tok_emb.weight", {12, 8});
  t.Add("blocks.0.attn_scale", {8});
  t.Add("blocks.0.mlp.up_proj.weight", {24, 8});
  return t;
}

// As pr598 would pack it if no tensor were small.
inline Packing PackEverything() {
  return {"everything",
          {{PackingRule().max_elements, {"attn_scale"}, Storage::kFloat32},
           {PackingRule().max_elements,
            {".mlp."},
            quantisers::RowsWithSearch(-32, 31, quantisers::Clips5())},
           {PackingRule().max_elements, {}, quantisers::Int8PerTensor()}}};
}

inline TokenizerInfo SampleTokenizer(size_t pieces = 40) {
  TokenizerInfo info;
  info.sha256 = std::string(64, 'a');
  for (size_t i = 0; i < pieces; ++i) {
    info.byte_table.bytes.push_back(i < 4 ? 0 : static_cast<uint16_t>(i % 7));
    info.byte_table.leading_space.push_back(i >= 4 && i % 3 == 0);
    info.byte_table.boundary.push_back(i < 4);
  }
  return info;
}

inline std::vector<uint8_t> SampleProgram() {
  std::vector<uint8_t> program(200);
  for (size_t i = 0; i < program.size(); ++i) program[i] = static_cast<uint8_t>(i * i);
  return program;
}

inline std::vector<EncodedTensor> Encode(const SampleTensors& tensors, const Packing& packing) {
  auto encoded = EncodeTensors(packing, tensors.views());
  EXPECT_TRUE(encoded.ok()) << encoded.status().message();
  return *encoded;
}

inline std::vector<uint8_t> Serialise(std::span<const EncodedTensor> tensors, int level = 3) {
  const std::vector<uint8_t> program = SampleProgram();
  return SerialiseArtifact(
      {program, SampleTokenizer(), {"golf-test", "everything", "raw", 7}, tensors}, level);
}

inline std::vector<uint8_t> TinyArtifact() {
  return Serialise(Encode(TinyNetwork(), PackEverything()));
}

}  // namespace golf::test
