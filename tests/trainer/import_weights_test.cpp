#include "trainer/import_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "artifact/file.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tests/support/temp_folder.h"
#include "trainer/infer_network.h"
#include "trainer/initialise.h"

namespace golf::test {
namespace {

using testing::HasSubstr;
using testing::Not;

NetworkConfig Tiny(WeightNames names = WeightNames::kPr1004) {
  NetworkConfig c;
  c.name = "tiny";
  c.weight_names = names;
  c.window = 8;
  c.vocab_size = 20;
  c.num_layers = 3;
  c.model_dim = 16;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.mlp_hidden = 24;
  c.rope_dims = 4;
  c.bigram_buckets = 10;
  c.bigram_embed_dim = 6;
  c.xsa_last_n = 1;
  c.ve_dim = 5;
  c.ve_layers = {1};
  return c;
}

// A safetensors file as a script may have written it.
class File {
 public:
  explicit File(const NetworkConfig& network) {
    const auto program = BuildNetwork(network);
    const TensorSet weights = InitialWeights(network, *program, 1);
    for (size_t i = 0; i < weights.count(); ++i) {
      Add(weights.name(i), {weights.shape(i).begin(), weights.shape(i).end()},
          {weights[i].begin(), weights[i].end()});
    }
  }

  void Add(const std::string& name, std::vector<size_t> shape, std::vector<float> values) {
    AddRaw(name, "F32", std::move(shape),
           {reinterpret_cast<const char*>(values.data()), 4 * values.size()});
  }
  void AddRaw(const std::string& name, const std::string& dtype, std::vector<size_t> shape,
              const std::string& bytes) {
    header_[prefix_ + name] = {{"dtype", dtype},
                               {"shape", std::move(shape)},
                               {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_ += bytes;
  }
  void Prefix(const std::string& text) {
    nlohmann::ordered_json renamed;
    for (const auto& [name, entry] : header_.items()) renamed[text + name] = entry;
    header_ = std::move(renamed);
    prefix_ = text;
  }
  std::vector<float> Values(const std::string& name) const {
    const auto& range = header_.at(prefix_ + name).at("data_offsets");
    std::vector<float> values((range[1].get<size_t>() - range[0].get<size_t>()) / 4);
    std::memcpy(values.data(), data_.data() + range[0].get<size_t>(), 4 * values.size());
    return values;
  }

  Result<ImportedWeights> Import(const NetworkConfig& network) const {
    const std::string header = header_.dump();
    const uint64_t length = header.size();
    std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
    const TempFolder folder;
    return ImportWeights(folder.Write("model.safetensors", file + header + data_), network,
                         *BuildNetwork(network));
  }

 private:
  std::string prefix_, data_;
  nlohmann::ordered_json header_;
};

TEST(ImportWeights, TakesWhatTrainingExports) {
  for (const WeightNames names : {WeightNames::kPr598, WeightNames::kPr1004}) {
    const auto imported = File(Tiny(names)).Import(Tiny(names));
    ASSERT_TRUE(imported.ok()) << imported.status().message();
    EXPECT_TRUE(imported->notes.empty());
  }
}

TEST(ImportWeights, TakesOffWhatAllNamesBeginWith) {
  for (const std::string prefix : {"module.", "_orig_mod.", "model.", "module._orig_mod."}) {
    File file(Tiny());
    file.Prefix(prefix);
    const auto imported = file.Import(Tiny());
    ASSERT_TRUE(imported.ok()) << imported.status().message();
    EXPECT_THAT(imported->notes, testing::ElementsAre(HasSubstr("'" + prefix + "'")));
  }
  File mixed(Tiny());
  mixed.Prefix("model.");
  mixed.Prefix("");
  mixed.Add("step", {1}, {0});
  EXPECT_THAT(mixed.Import(Tiny()).status().message(),
              HasSubstr("model.bigram.embed.weight (10, 6) is not in the network"));
}

TEST(ImportWeights, ATiedHeadMayStandThereTwice) {
  File file(Tiny());
  std::vector<float> head = file.Values("tok_emb.weight");
  file.Add("lm_head.weight", {20, 16}, head);
  const auto imported = file.Import(Tiny());
  ASSERT_TRUE(imported.ok()) << imported.status().message();
  EXPECT_THAT(imported->notes, testing::ElementsAre(HasSubstr("lm_head.weight")));

  File untied(Tiny());
  head[7] += 1;
  untied.Add("lm_head.weight", {20, 16}, head);
  EXPECT_THAT(untied.Import(Tiny()).status().message(),
              testing::AllOf(HasSubstr("lm_head.weight (20, 16) is not in the network"),
                             HasSubstr("fits with --set network.tie_embeddings=false")));
}

TEST(ImportWeights, LeavesOutWhatHoldsNoWeights) {
  File file(Tiny());
  file.Prefix("module.");
  file.AddRaw("num_batches", "I64", {}, "12345678");
  file.AddRaw("empty", "F32", {0, 16}, "");
  file.Add("inference_temp", {}, {1});
  const auto imported = file.Import(Tiny());
  ASSERT_TRUE(imported.ok()) << imported.status().message();
  EXPECT_THAT(imported->notes,
              testing::UnorderedElementsAre(HasSubstr("'module.'"), HasSubstr("num_batches"),
                                            HasSubstr("empty (0, 16)")));

  File hot(Tiny());
  hot.Add("inference_temp", {}, {0.98F});
  EXPECT_THAT(hot.Import(Tiny()).status().message(), HasSubstr("inference_temp is 0.98"));
}

TEST(ImportWeights, NamesAWeightOfAnotherType) {
  NetworkConfig untied = Tiny();
  untied.tie_embeddings = false;
  File file(Tiny());
  file.AddRaw("lm_head.weight", "I8", {20, 16}, std::string(320, '\1'));
  EXPECT_THAT(file.Import(untied).status().message(),
              HasSubstr("lm_head.weight has type I8 and shape (20, 16), expected floats"));
}

// Every difference in one message, and the recipe that fits.
TEST(ImportWeights, SaysAllThatDiffersAndWhatWouldMendIt) {
  NetworkConfig recipe = Tiny();
  recipe.num_layers = 4;
  recipe.model_dim = 32;
  recipe.mlp_hidden = 40;
  recipe.bigram_buckets = 0;
  recipe.ve_layers = {1, 3};
  File file(Tiny());
  const std::string message = file.Import(recipe).status().message();
  EXPECT_THAT(message, HasSubstr("recipe 'tiny'"));
  EXPECT_THAT(message, HasSubstr("tok_emb.weight has shape (20, 16), expected (20, 32)"));
  EXPECT_THAT(message, HasSubstr("blocks.*.attn.c_q.weight has shape (16, 16), expected (32, 32) "
                                 "(3 tensors)"));
  EXPECT_THAT(message, HasSubstr("blocks.*.attn.c_q.weight (32, 32) is missing"));
  EXPECT_THAT(message, HasSubstr("bigram.embed.weight (10, 6) is not in the network"));
  EXPECT_THAT(message, HasSubstr("ve_layer_scales.1 (1) is missing"));
  EXPECT_THAT(message, HasSubstr("the recipe fits with --set network.num_layers=3 --set "
                                 "network.model_dim=16 --set network.mlp_hidden=24 --set "
                                 "network.bigram_buckets=10 --set 'network.ve_layers=[2]'"));

  file.Add("extra", {2}, {1, 2});
  EXPECT_THAT(file.Import(recipe).status().message(),
              testing::AllOf(HasSubstr("extra (2) is not in the network"),
                             HasSubstr("the recipe comes nearer with --set")));
  EXPECT_THAT(file.Import(Tiny()).status().message(), Not(HasSubstr("--set")));
}

TEST(InferNetwork, FindsEveryFieldThatShapesDecide) {
  NetworkConfig c = Tiny(WeightNames::kPr598);
  c.value_residual = c.gated_attention = true;
  c.flow_latent_dim = 4;
  c.flow_hidden_dim = 7;
  c.bigram_xor_hash = false;
  NetworkConfig plain;
  plain.weight_names = WeightNames::kPr1004;
  plain.mlp_affine = plain.gated_skips = plain.tie_embeddings = false;
  plain.ve_layers = {1};
  const auto program = BuildNetwork(c);
  const TensorSet weights(*program);
  std::vector<TensorView> views;
  for (size_t i = 0; i < weights.count(); ++i) views.push_back(weights.view(i));
  EXPECT_THAT(NetworkChanges(InferNetwork(plain, views), c), testing::IsEmpty());
  EXPECT_EQ(NetworkChanges(plain, c).size(), 18U);
}

}  // namespace
}  // namespace golf::test
