// Recipes: TOML files that say everything a training run's numbers depend on. `pr598`, `pr668` and `nano` are built in
// (trainer/recipes/*.toml); any other name is a path. A key that nobody reads is an error that names key and file.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/executor.h"
#include "trainer/network.h"
#include "trainer/settings.h"

namespace golf {

struct ValidationSettings {
  uint64_t every = 0;          // steps between validations of the raw weights; 0: only at the end
  uint64_t max_tokens = 0;     // targets used, whole windows from the start of the stream; 0: all
  uint32_t batch_windows = 8;  // windows per pass: memory and speed, no influence on the result
};

struct Recipe {
  std::string
      text;  // canonical TOML, overrides included: what a checkpoint stores and --print-recipe prints
  uint64_t seed = 42;
  Precision precision = Precision::kFp32;
  NetworkConfig network;
  TrainSettings train;
  ValidationSettings validation;
};

// overrides: "key=value" with a dotted key ("network.num_layers=4", "group.matrix.lr=0.02") and a TOML value; what is
// no TOML value is taken as a string. kUsage names key and file for unknown keys, wrong types and impossible values, and
// patterns of groups that take no weight.
Result<Recipe> LoadRecipe(const std::string& name_or_path,
                          std::span<const std::string> overrides = {});
// `source` stands for the file in messages. Patterns are not looked at: the text may be a checkpoint's.
Result<Recipe> ParseRecipe(const std::string& text, const std::string& source,
                           std::span<const std::string> overrides = {});

struct BuiltInRecipe {
  std::string_view name, text;
};
std::span<const BuiltInRecipe> BuiltInRecipes();

// Dotted key -> value of a recipe's text, to tell two recipes apart; empty if it is no TOML.
std::map<std::string, std::string> RecipeValues(const std::string& text);

}  // namespace golf
