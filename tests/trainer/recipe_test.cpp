#include "trainer/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "schemas/program_generated.h"
#include "trainer/optimizer.h"

namespace golf {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kTiny = R"(
name = "tiny"
[network]
window = 16
[batch]
tokens = 64
slices = 2
micro_windows = 1
[[group]]
name = "all"
rule = "adamw"
lr = 0.01
weights = ["*"]
)";

std::string Message(const std::string& text, std::vector<std::string> overrides = {}) {
  const Result<Recipe> recipe = ParseRecipe(text, "tiny.toml", overrides);
  EXPECT_FALSE(recipe.ok());
  return recipe.ok() ? "" : recipe.status().message();
}

TEST(Recipe, BuiltInOnesLoad) {
  for (const BuiltInRecipe& built_in : BuiltInRecipes()) {
    const Result<Recipe> recipe = LoadRecipe(std::string(built_in.name));
    ASSERT_TRUE(recipe.ok()) << recipe.status().message();
    EXPECT_EQ(recipe->network.name, built_in.name);
  }
}

TEST(Recipe, PublishedRunsHaveTheirValues) {
  const Recipe pr598 = *LoadRecipe("pr598"), pr668 = *LoadRecipe("pr668");
  EXPECT_EQ(pr598.train.schedule.iterations, 7000U);
  EXPECT_EQ(pr598.train.schedule.warmdown_iters, 3500U);
  EXPECT_EQ(pr668.train.schedule.iterations, 30000U);
  EXPECT_EQ(pr668.train.schedule.warmdown_iters, 18000U);
  EXPECT_TRUE(pr598.train.late_qat.enabled);
  EXPECT_FALSE(pr668.train.late_qat.enabled);
  EXPECT_EQ(pr598.network.rope_train_seq_len, 1024U);
  EXPECT_EQ(pr668.network.rope_train_seq_len, 2048U);
  EXPECT_TRUE(pr668.network.rope_bf16_frequencies);
  for (const Recipe& recipe : {pr598, pr668}) {
    EXPECT_EQ(recipe.train.batch.tokens, 786'432U);
    EXPECT_EQ(recipe.train.batch.slices, 8U);
    EXPECT_EQ(recipe.train.grad_clip_norm, 0.3);
    EXPECT_EQ(recipe.train.ema_decay, 0.997);
    EXPECT_EQ(recipe.train.first_decoder_block, 5U);
    EXPECT_EQ(recipe.seed, 42U);
    EXPECT_EQ(recipe.validation.every, 500U);
  }
}

TEST(Recipe, Pr1004AndPr1232HaveTheirValues) {
  const Recipe pr1004 = *LoadRecipe("pr1004"), pr1232 = *LoadRecipe("pr1232");
  EXPECT_EQ(pr1004.train.schedule.max_wallclock_seconds, 590);
  EXPECT_EQ(pr1004.train.schedule.warmdown_iters, 3500U);
  EXPECT_EQ(pr1004.train.swa.every, 50U);
  EXPECT_EQ(pr1004.train.swa.below, 0.2);
  EXPECT_EQ(pr1004.train.late_qat.levels.divisor, 15);
  EXPECT_EQ(pr1004.train.late_qat.levels.quantile, 0.9995F);
  EXPECT_EQ(pr1232.train.schedule.max_wallclock_seconds, 0);
  EXPECT_EQ(pr1232.train.schedule.iterations, 20000U);
  EXPECT_EQ(pr1232.train.schedule.warmdown_iters, 12000U);
  EXPECT_EQ(pr1232.train.swa.every, 0U);
  EXPECT_EQ(pr1232.network.mlp_negative_slope, 0.5);
  for (const Recipe& recipe : {pr1004, pr1232}) {
    EXPECT_EQ(recipe.train.batch.tokens, 786'432U);
    EXPECT_EQ(recipe.network.xsa_last_n, 11U);
    EXPECT_FALSE(recipe.train.late_qat.enabled);
  }
}

// Matrices by Muon but for the gates and FlowRefiner, which go with the vectors; tables and refiner matrices in bfloat16.
TEST(Recipe, Pr1232GroupsAreThoseOfItsScript) {
  const Recipe recipe = *LoadRecipe("pr1232-flow");
  const auto program = BuildNetwork(recipe.network);
  const TensorSet layout(*program);
  const auto updates = AssignUpdates(layout, recipe.train);
  ASSERT_TRUE(updates.ok()) << updates.status().message();
  std::map<std::string, int> count;
  for (size_t i = 0; i < layout.count(); ++i) {
    const WeightUpdate& update = (*updates)[i];
    ++count[update.group];
    EXPECT_EQ(update.bf16, update.group == "token" || update.group == "refiner");
    if (layout.name(i).find("attn_gate") != std::string::npos) {
      EXPECT_EQ(update.group, "vector") << layout.name(i);
    }
  }
  EXPECT_EQ(count["token"], 2);
  EXPECT_EQ(count["matrix"], 67);
  EXPECT_EQ(count["refiner"], 4);
  EXPECT_EQ(count["vector"], 156 - 2 - 67 - 4);
}

TEST(Recipe, UnknownKeysAreNamedWithTheirFile) {
  EXPECT_THAT(
      Message(kTiny + "[schedule]\niteratons = 5\n"),
      AllOf(HasSubstr("tiny.toml"), HasSubstr("schedule.iteratons"), HasSubstr("iterations")));
  EXPECT_THAT(Message("nome = 1\n" + kTiny), HasSubstr("'nome'"));
  EXPECT_THAT(Message(kTiny + "momentum = 1\n"), HasSubstr("group.all.momentum"));
  EXPECT_THAT(Message(kTiny, {"network.layers=3"}), HasSubstr("network.layers"));
}

TEST(Recipe, WrongTypesAndValuesAreNamed) {
  EXPECT_THAT(Message(kTiny, {"network.num_layers=\"many\""}), HasSubstr("network.num_layers"));
  EXPECT_THAT(Message(kTiny, {"network.num_layers=-1"}), HasSubstr("network.num_layers"));
  EXPECT_THAT(Message(kTiny, {"network.ve_layers=[1.5]"}), HasSubstr("network.ve_layers"));
  EXPECT_THAT(Message(kTiny, {"group.all.rule=sgd"}),
              AllOf(HasSubstr("group.all.rule"), HasSubstr("muon")));
  EXPECT_THAT(Message(kTiny, {"batch.tokens=65"}), HasSubstr("batch.tokens"));
  EXPECT_THAT(Message(kTiny, {"batch.micro_windows=3"}), HasSubstr("batch.micro_windows"));
  EXPECT_THAT(Message(kTiny, {"train.ema_decay=1.0"}), HasSubstr("train.ema_decay"));
  EXPECT_THAT(Message(kTiny, {"train.grad_clip_norm=nan"}), HasSubstr("train.grad_clip_norm"));
  EXPECT_THAT(Message(kTiny, {"network.num_heads=7"}), HasSubstr("network.num_heads"));
  EXPECT_THAT(Message(kTiny, {"network.weight_names=mine"}), HasSubstr("pr1004"));
  EXPECT_THAT(Message(kTiny, {"train.focal_gamma=-1"}), HasSubstr("train.focal_gamma"));
  EXPECT_THAT(Message(kTiny, {"late_qat.quantile=0"}), HasSubstr("late_qat.quantile"));
  EXPECT_THAT(Message(kTiny, {"late_qat.rounding=up"}), HasSubstr("late_qat.rounding"));
  EXPECT_THAT(Message(kTiny, {"swa.source=both"}), HasSubstr("swa.source"));
  EXPECT_THAT(Message(kTiny, {"group.all.rule=none", "group.all.bf16=true"}),
              HasSubstr("group.all.bf16"));
}

TEST(Recipe, SyntaxErrorsAreNamedWithTheirLine) {
  EXPECT_THAT(Message("name = \"a\"\n= 3\n"), AllOf(HasSubstr("tiny.toml"), HasSubstr("line 2")));
}

// A dotted key makes a table per dot, and the library takes them apart by recursion.
TEST(Recipe, AnEndlessKeyIsRefused) {
  std::string key = "a";
  for (int i = 0; i < 400'000; ++i) key += ".a";
  EXPECT_THAT(Message(kTiny + key + " = 1\n"), HasSubstr("dots in a key"));
  EXPECT_THAT(Message("[" + key + "]\n"), HasSubstr("line 1"));
  EXPECT_TRUE(RecipeValues(key + " = 1\n").empty());
  EXPECT_THAT(Message(kTiny, {key + "=1"}), HasSubstr("dots in a key"));
  EXPECT_THAT(Message(kTiny, {"network={" + key + "=1}"}), HasSubstr("network"));
  // Behind strings that hold what looks like the end or the beginning of another.
  for (const char* string :
       {"\"\"\"\n' \"\"\"", "'''\n\" '''", "\"\\\"\"", "'\\'", "\"\"\"\"\"\"", "\"#\"", "'#'"}) {
    EXPECT_THAT(Message("a = {b = " + std::string(string) + ", " + key + " = 1}\n"),
                HasSubstr("dots in a key"))
        << string;
  }
}

TEST(Recipe, DotsInCommentsAndStringsAreNoKeys) {
  const std::string dots(100, '.');
  const std::string text = "# Contents " + dots + " 3\n" + kTiny + "# it's " + dots +
                           "\n[reference]\nstale_gradients = [] # \"" + dots + "\n";
  EXPECT_TRUE(ParseRecipe(text, "tiny.toml", {}).ok());
  for (const std::string& string :
       {"\"" + dots + "\"", "'" + dots + "'", "\"\"\"\n" + dots + "\"\"\"", "'''" + dots + "'''"}) {
    const std::vector<std::string> overrides = {"name=" + string};
    const Result<Recipe> recipe = ParseRecipe(kTiny, "tiny.toml", overrides);
    ASSERT_TRUE(recipe.ok()) << recipe.status().message();
    EXPECT_EQ(recipe->network.name, dots);
  }
}

TEST(Recipe, AByteOrderMarkIsNoKey) {
  const Result<Recipe> recipe = ParseRecipe("\xEF\xBB\xBF" + kTiny, "tiny.toml", {});
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->text, ParseRecipe(kTiny, "tiny.toml", {})->text);
}

TEST(Recipe, OverridesAreNumbersAsFlagsTakeThem) {
  const auto iterations = [](const std::string& text) {
    const std::vector<std::string> overrides = {"schedule.iterations=" + text};
    const Result<Recipe> recipe = ParseRecipe(kTiny, "tiny.toml", overrides);
    return recipe.ok() ? recipe->train.schedule.iterations : 0;
  };
  for (const char* text : {"0100", "100", "1e2", "1_00", "00000000000000000000000100"})
    EXPECT_EQ(iterations(text), 100U) << text;
  for (const char* text :
       {"-1", "nan", "1.5", "99999999999999999999", "18446744073709551616", "1e99", "16MB"})
    EXPECT_EQ(iterations(text), 0U) << text;
  for (const char* text : {"nan", "inf", "-inf", "1e999", "1e39"}) {
    EXPECT_THAT(Message(kTiny, {std::string("late_qat.divisor=") + text}),
                HasSubstr("late_qat.divisor"));
  }
  EXPECT_LT(Message(kTiny, {"schedule.iterations=" + std::string(308, '9')}).size(), 200U);
}

TEST(Recipe, APatternThatTakesNoWeightIsNamed) {
  const auto message = [](const std::string& weights) {
    const std::vector<std::string> overrides = {"group.matrix.weights=" + weights};
    const Result<Recipe> recipe = LoadRecipe("nano", overrides);
    return recipe.ok() ? "" : recipe.status().message();
  };
  EXPECT_EQ(message("[\"blocks.*.weight\", \"blocks.*.c_q.*\"]"), "");  // a weight for both
  EXPECT_THAT(
      message("[\"blocks.*.weight\", \"block.*\"]"),
      AllOf(HasSubstr("group.matrix.weights: 'block.*'"), HasSubstr("no weight has such a name")));
  EXPECT_THAT(message("[\"blocks.*.weight\", \"tok_emb.weight\"]"),
              HasSubstr("earlier groups take all"));
  EXPECT_THAT(message("[\"*\"]"), HasSubstr("group.bigram_proj.weights: 'bigram_emb.proj.weight'"));
  // What the network leaves out may be named.
  const std::vector<std::string> without = {"network.bigram_buckets=0", "network.ve_enabled=false"};
  for (const BuiltInRecipe& built_in : BuiltInRecipes())
    EXPECT_TRUE(LoadRecipe(std::string(built_in.name), without).ok()) << built_in.name;
  // A checkpoint's recipe is not looked at.
  const std::string dead = "[[group]]\nname = \"b\"\nweights = [\"x\"]\n";
  EXPECT_TRUE(ParseRecipe(kTiny + dead, "tiny.toml", {}).ok());
}

TEST(Recipe, CharactersBeyondAsciiBelongInCommentsAndStrings) {
  EXPECT_THAT(Message("name = \"a\"\n\u031d = 1\n"), HasSubstr("line 2: a character beyond ASCII"));
  EXPECT_TRUE(ParseRecipe(kTiny + "# \u00fc\n", "tiny.toml", {}).ok());
  EXPECT_THAT(Message("name = \"#\"\u031d\n"), HasSubstr("line 1: a character beyond ASCII"));
  const std::vector<std::string> overrides = {"name=\"\u00fc\""};
  EXPECT_EQ(ParseRecipe(kTiny, "tiny.toml", overrides)->network.name, "\u00fc");
}

TEST(Recipe, IntegersThatNoDoubleHoldsExactlyAreRounded) {
  const std::vector<std::string> overrides = {"group.all.lr=9007199254740993"};
  const Result<Recipe> recipe = ParseRecipe(kTiny, "tiny.toml", overrides);
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->train.groups[0].lr, 9007199254740992.0);
}

TEST(Recipe, OverridesReachTablesAndGroups) {
  const std::vector<std::string> overrides = {"network.num_layers=4", "network.ve_layers=[2,3]",
                                              "network.xsa_last_n=2", "group.all.lr=0.5",
                                              "muon.momentum=0.9",    "name=mine"};
  const Result<Recipe> recipe = ParseRecipe(kTiny, "tiny.toml", overrides);
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->network.num_layers, 4U);
  EXPECT_EQ(recipe->network.ve_layers, (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(recipe->train.groups[0].lr, 0.5);
  EXPECT_EQ(recipe->train.muon.momentum, 0.9);
  EXPECT_EQ(recipe->network.name, "mine");
}

TEST(Recipe, BadOverridesAreRefused) {
  EXPECT_THAT(Message(kTiny, {"network"}), HasSubstr("key=value"));
  EXPECT_THAT(Message(kTiny, {"group.none.lr=1"}), HasSubstr("'none'"));
  EXPECT_THAT(Message(kTiny, {"network.window.x=1"}), HasSubstr("'window'"));
}

TEST(Recipe, CanonicalTextSaysTheSame) {
  for (const BuiltInRecipe& built_in : BuiltInRecipes()) {
    const std::vector<std::string> overrides = {"schedule.iterations=7"};
    const Recipe once = *LoadRecipe(std::string(built_in.name), overrides);
    const Result<Recipe> twice = ParseRecipe(once.text, "again");
    ASSERT_TRUE(twice.ok()) << twice.status().message();
    EXPECT_EQ(once.text, twice->text);
    EXPECT_EQ(twice->train.schedule.iterations, 7U);
    EXPECT_EQ(RecipeValues(once.text)["group.matrix.rule"], "'muon'");
  }
}

TEST(Recipe, AnUnknownNameSaysWhatThereIs) {
  const Result<Recipe> recipe = LoadRecipe("pr999");
  ASSERT_FALSE(recipe.ok());
  EXPECT_THAT(recipe.status().message(), AllOf(HasSubstr("pr598"), HasSubstr("./pr999.toml")));
  EXPECT_EQ(LoadRecipe("./missing.toml").status().code(), Code::kIo);
}

}  // namespace
}  // namespace golf
