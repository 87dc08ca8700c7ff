// Forms: 0 a recipe's text; 1 overrides, one a line, of the built-in recipe nano. A recipe that is accepted reads back from its
// canonical text as the same recipe, and its network, if it is not too large to try, passes the program's checks or is
// refused by them.
#include "kernels/base/check.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"
#include "trainer/recipe.h"

namespace golf::test {
namespace {

void CheckAccepted(const Recipe& recipe) {
  const auto again = ParseRecipe(recipe.text, "canonical");
  GOLF_CHECK(again.ok());
  GOLF_CHECK(again->text == recipe.text);
  GOLF_CHECK(again->network.name == recipe.network.name && again->seed == recipe.seed);
  GOLF_CHECK(RecipeValues(recipe.text) == RecipeValues(again->text));
  if (recipe.network.num_layers > 16) return;
  const auto program = BuildNetwork(recipe.network);
  if (CheckProgram(*program).ok()) GOLF_CHECK(ParseProgram(SerialiseProgram(*program)).ok());
}

}  // namespace

void FuzzRecipe(std::span<const uint8_t> input) {
  InputReader in(input);
  if (in.Below(2) == 0) {
    const std::string text = in.RestAsText();
    (void)RecipeValues(text);
    const auto recipe = ParseRecipe(text, "fuzz");
    if (recipe.ok()) CheckAccepted(*recipe);
    return;
  }
  std::vector<std::string> overrides(1);
  for (const char c : in.RestAsText()) {
    if (c == '\n') {
      overrides.emplace_back();
    } else {
      overrides.back() += c;
    }
  }
  const auto recipe = LoadRecipe("nano", overrides);
  if (recipe.ok()) CheckAccepted(*recipe);
}

}  // namespace golf::test
