// Writes the first inputs of every fuzz target: golf_fuzz_seeds FOLDER makes FOLDER/<target>/seed_*. The same bytes each time.
// Whole files come from our own writers; the forms that build a file start from noise, which they understand as well.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "artifact/artifact_layout.h"
#include "artifact/artifact_write.h"
#include "artifact/checkpoint.h"
#include "artifact/packing.h"
#include "artifact/safetensors.h"
#include "artifact/stream_coder.h"
#include "artifact/token_shard.h"
#include "kernels/base/check.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tests/fuzz/fuzz_targets.h"
#include "trainer/recipe.h"

namespace golf::test {
namespace {

using Bytes = std::vector<uint8_t>;

class SeedFolder {
 public:
  explicit SeedFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void Write(const std::string& target, const std::string& name, Bytes form, const Bytes& rest) {
    form.insert(form.end(), rest.begin(), rest.end());
    std::filesystem::create_directories(folder_ / target);
    GOLF_CHECK(WriteFileAtomically((folder_ / target / ("seed_" + name)).string(), form).ok());
  }
  // A file that a writer made, without the file.
  template <class Writer>
  Bytes Content(const Writer& write) const {
    const std::string path = (folder_ / "temporary").string();
    GOLF_CHECK(write(path).ok());
    const auto content = ReadFile(path, 1 << 20);
    std::filesystem::remove(path);
    return *content;
  }

 private:
  std::filesystem::path folder_;
};

Bytes ToBytes(std::string_view text) { return {text.begin(), text.end()}; }

NetworkConfig TinyConfig() {
  NetworkConfig c;
  c.name = "tiny";
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
  return c;
}

TokenizerInfo Tokenizer() {
  return {std::string(64, '7'),
          {{0, 1, 2, 3, 4, 5, 6, 7}, {0, 0, 1, 0, 1, 0, 1, 0}, {1, 0, 0, 0, 0, 0, 0, 0}}};
}

struct Weights {
  std::vector<std::vector<float>> data;
  std::vector<TensorView> views;

  explicit Weights(const schema::ProgramT& program) {
    float x = 0.01F;
    for (const auto& weight : program.weights) {
      data.emplace_back(ElementCount(weight->shape));
      for (float& value : data.back()) value = x = x * 1.37F - static_cast<float>(x > 1);
    }
    for (size_t i = 0; i < data.size(); ++i)
      views.push_back({program.weights[i]->name, program.weights[i]->shape, data[i]});
  }
};

void WriteArtifacts(SeedFolder& out, const Bytes& program, const Weights& weights) {
  const auto encoded = EncodeTensors(*FindPacking("pr598"), weights.views);
  const Bytes file =
      SerialiseArtifact({program, Tokenizer(), {"golf", "pr598", "raw", 7}, *encoded}, 3);
  const Bytes content(file.begin(), file.end() - kContentHashBytes);
  out.Write("artifact", "whole", {0}, content);
  ArtifactHeader header;
  std::memcpy(&header, file.data(), sizeof(header));
  const auto rest = std::span(content).subspan(sizeof(header));
  Bytes taken_apart = *DecodeStream(rest.first(header.description_encoded_bytes), 1,
                                    header.description_decoded_bytes);
  const Bytes form = {1, static_cast<uint8_t>(taken_apart.size()),
                      static_cast<uint8_t>(taken_apart.size() >> 8)};
  const auto streams = rest.subspan(header.description_encoded_bytes);
  taken_apart.insert(taken_apart.end(), streams.begin(), streams.end());
  out.Write("artifact", "description", form, taken_apart);
}

void WriteNetworkFiles(SeedFolder& out) {
  const auto program = BuildNetwork(TinyConfig());
  const Bytes serialised = SerialiseProgram(*program);
  out.Write("program", "whole", {0}, serialised);
  const Weights weights(*program);
  WriteArtifacts(out, serialised, weights);

  CheckpointContents contents;
  contents.program = serialised;
  contents.recipe = "name = 'tiny'\n";
  contents.tokenizer = Tokenizer();
  const std::vector<TensorView> few(weights.views.begin(), weights.views.begin() + 4);
  contents.groups = {{"weights", few}, {"ema", few}};
  contents.integers = {{"step", 7}, {"cursor", 1}};
  contents.reals = {{"clock", 0.5}};
  out.Write("checkpoint", "whole", {0},
            out.Content([&](const std::string& path) { return WriteCheckpoint(path, contents); }));
  const Bytes tensors =
      out.Content([&](const std::string& path) { return WriteSafetensors(path, few); });
  out.Write("safetensors", "whole", {0}, tensors);
  out.Write(
      "safetensors", "text", {1},
      ToBytes(
          R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"__metadata__":{"x":"y"}})"));
}

void WriteAuditLog(SeedFolder& out) {
  using Json = nlohmann::ordered_json;
  std::string log;
  const auto add = [&](const Json& record) { log += record.dump() + '\n'; };
  add({{"type", "header"},
       {"format", "golf-audit"},
       {"version", 2},
       {"artifact_name", "a.ptz"},
       {"artifact_bytes", 100},
       {"artifact_sha256", std::string(64, 'a')},
       {"tokenizer_sha256", std::string(64, 'b')},
       {"tokenizer_checked", false},
       {"shards", {{{"name", "a.bin"}, {"sha256", std::string(64, 'b')}, {"tokens", 33}}}},
       {"limit_tokens", nullptr},
       {"val_tokens", 33},
       {"target_tokens", 32},
       {"window", 16},
       {"stride", 8},
       {"protocol", "once"},
       {"precision", "fp32"},
       {"kernels", "avx2"},
       {"processes", 1},
       {"golf", "0.1.0"},
       {"ttt", nullptr}});
  add({{"type", "score"},
       {"range", {0, 16}},
       {"weights", ""},
       {"starts", {0, 0}},
       {"nll_nats", 4.0},
       {"bytes", 20},
       {"count", 16}});
  add({{"type", "score"},
       {"range", {16, 32}},
       {"weights", ""},
       {"starts", {8, 16}},
       {"nll_nats", 2.0},
       {"bytes", 20},
       {"count", 16}});
  add({{"type", "end"},
       {"weights", ""},
       {"nll_nats", 6.0},
       {"bytes", 40},
       {"count", 32},
       {"loss_nats", 6.0 / 32},
       {"bits_per_byte", 6.0 / 0.693147180559945309417 / 40}});
  out.Write("audit", "log", {0}, ToBytes(log));
  // Built: windows of 8 at stride 4, "once", with training; nothing is altered.
  out.Write("audit", "one_record", {1}, {7, 3, 0, 1, 31, 8, 1, 1, 4, 4, 4, 4, 4, 4, 4, 4, 0});
}

void WriteTexts(SeedFolder& out) {
  for (const BuiltInRecipe& recipe : BuiltInRecipes())
    out.Write("recipe", std::string(recipe.name), {0}, ToBytes(recipe.text));
  out.Write("recipe", "overrides", {1},
            ToBytes("network.num_layers=4\ngroup.matrix.lr=0.02\ntrain.precision=fp32\n"
                    "network.ve_layers=[2, 3]\nschedule.max_wallclock_seconds=1e3"));
  out.Write("recipe", "deep", {0},
            ToBytes("a.b.c.d = {e.f = [[[{g.h = 1979-05-27T07:32:00Z}]]]}\n"));

  out.Write(
      "json", "packing", {7},
      ToBytes(
          R"({"content_hash":"ab","seconds":1.5,"code":[{"file":"\u001b\ud83d\ude00","bytes":7}],"fits":true})"));
  out.Write("json", "deep", {3}, ToBytes("[[[{\"a\":[[-1e3,\"\xc3\xbc\"]]}]]]"));

  const std::vector<uint16_t> tokens = {1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2};
  out.Write("shard", "whole", {0, 8, 0, 0},
            out.Content([&](const std::string& path) { return WriteTokenShard(path, tokens); }));
  out.Write("shard", "tokens", {1, 8, 0, 0, 0, 0}, {1, 0, 2, 0, 3, 0, 4, 0});

  Bytes model;
  for (const auto& [text, type] : {std::pair<std::string, uint8_t>{"<unk>", 2},
                                   {"<s>", 3},
                                   {"<0x0A>", 6},
                                   {"\xe2\x96\x81the", 1},
                                   {"\xc3\xbc", 1},
                                   {"\xf0\x9f\x98\x80", 4}}) {
    const auto length = static_cast<uint8_t>(text.size());
    model.insert(model.end(), {0x0a, static_cast<uint8_t>(length + 4), 0x0a, length});
    model.insert(model.end(), text.begin(), text.end());
    model.insert(model.end(), {0x18, type});
  }
  model.insert(model.end(), {0x12, 0x02, 0x18, 0x01});  // trainer settings
  out.Write("tokenizer", "whole", {0}, model);
}

void WriteNoise(SeedFolder& out) {
  constexpr struct {
    const char* target;
    uint8_t form;
  } kBuilders[] = {{"artifact", 2}, {"audit", 1},       {"checkpoint", 1}, {"hessians", 0},
                   {"program", 1},  {"safetensors", 2}, {"tokenizer", 1}};
  std::mt19937 random(1);
  for (const auto& [target, form] : kBuilders) {
    for (size_t bytes = 16; bytes <= 256; bytes *= 4) {
      Bytes noise(bytes);
      for (uint8_t& b : noise) b = static_cast<uint8_t>(random() >> 8);
      out.Write(target, "noise_" + std::to_string(bytes), {form}, noise);
    }
  }
}

}  // namespace
}  // namespace golf::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: golf_fuzz_seeds FOLDER\n");
    return 2;
  }
  std::filesystem::create_directories(argv[1]);
  golf::test::SeedFolder out(argv[1]);
  golf::test::WriteNetworkFiles(out);
  golf::test::WriteAuditLog(out);
  golf::test::WriteTexts(out);
  golf::test::WriteNoise(out);
  return 0;
}
