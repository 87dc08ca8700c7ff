#include "trainer/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "artifact/file.h"
#include "artifact/file_kind.h"
#include "runtime/trainable.h"
#include "schemas/program_generated.h"
#include "trainer/recipe_reader.h"

namespace golf {
namespace {

constexpr size_t kMaxRecipeBytes = 1 << 20;

Status ReadNetwork(TableReader in, NetworkConfig& c) {
  constexpr std::array<std::string_view, 2> kNames = {"pr598", "pr1004"};
  auto names = static_cast<size_t>(c.weight_names);
  in.ReadChoice("weight_names", kNames, names);
  c.weight_names = static_cast<WeightNames>(names);
  in.Read("window", c.window);
  in.Read("vocab_size", c.vocab_size);
  in.Read("num_layers", c.num_layers);
  in.Read("model_dim", c.model_dim);
  in.Read("num_heads", c.num_heads);
  in.Read("num_kv_heads", c.num_kv_heads);
  in.Read("mlp_hidden", c.mlp_hidden);
  in.Read("mlp_affine", c.mlp_affine);
  in.Read("mlp_negative_slope", c.mlp_negative_slope);
  in.Read("gated_skips", c.gated_skips);
  in.Read("tie_embeddings", c.tie_embeddings);
  in.Read("logit_softcap", c.logit_softcap);
  in.Read("ln_scale", c.ln_scale);
  in.Read("rope_base", c.rope_base);
  in.Read("rope_dims", c.rope_dims);
  in.Read("rope_train_seq_len", c.rope_train_seq_len);
  in.Read("rope_bf16_frequencies", c.rope_bf16_frequencies);
  in.Read("bigram_buckets", c.bigram_buckets);
  in.Read("bigram_embed_dim", c.bigram_embed_dim);
  in.Read("bigram_xor_hash", c.bigram_xor_hash);
  in.Read("xsa_last_n", c.xsa_last_n);
  in.Read("ve_enabled", c.ve_enabled);
  in.Read("ve_dim", c.ve_dim);
  in.Read("ve_layers", c.ve_layers);
  in.Read("value_residual", c.value_residual);
  in.Read("gated_attention", c.gated_attention);
  in.Read("flow_latent_dim", c.flow_latent_dim);
  in.Read("flow_hidden_dim", c.flow_hidden_dim);
  in.Read("tied_embed_init_std", c.tied_embed_init_std);
  in.Read("qk_gain_init", c.qk_gain_init);
  in.Read("ortho_init", c.ortho_init);
  return in.Finish();
}

Status ReadBatch(TableReader in, BatchSettings& b) {
  in.Read("tokens", b.tokens);
  in.Read("slices", b.slices);
  in.Read("micro_windows", b.micro_windows);
  return in.Finish();
}

Status ReadSchedule(TableReader in, ScheduleSettings& s) {
  in.Read("iterations", s.iterations);
  in.Read("warmup_iters", s.warmup_iters);
  in.Read("warmdown_iters", s.warmdown_iters);
  in.Read("max_wallclock_seconds", s.max_wallclock_seconds);
  return in.Finish();
}

Status ReadAdamW(TableReader in, AdamWSettings& a) {
  in.Read("beta1", a.beta1);
  in.Read("beta2", a.beta2);
  in.Read("eps", a.eps);
  return in.Finish();
}

Status ReadMuon(TableReader in, MuonSettings& m) {
  in.Read("momentum", m.momentum);
  in.Read("momentum_warmup_start", m.momentum_warmup_start);
  in.Read("momentum_warmup_steps", m.momentum_warmup_steps);
  in.Read("backend_steps", m.backend_steps);
  return in.Finish();
}

Status ReadGroup(TableReader in, OptimizerGroup& g) {
  constexpr std::array<std::string_view, 3> kRules = {"none", "adamw", "muon"};
  auto rule = static_cast<size_t>(g.rule);
  in.Read("name", g.name);
  in.ReadChoice("rule", kRules, rule);
  g.rule = static_cast<UpdateRule>(rule);
  in.Read("lr", g.lr);
  in.Read("weight_decay", g.weight_decay);
  in.Read("decoder_lr_mult", g.decoder_lr_mult);
  in.Read("bf16", g.bf16);
  in.Read("weights", g.weights);
  return in.Finish();
}

Status ReadSwa(TableReader in, SwaSettings& s) {
  constexpr std::array<std::string_view, 2> kSources = {"raw", "ema"};
  auto source = static_cast<size_t>(s.source);
  in.Read("every", s.every);
  in.Read("below", s.below);
  in.ReadChoice("source", kSources, source);
  s.source = static_cast<SwaSettings::Source>(source);
  return in.Finish();
}

Status ReadLateQat(TableReader in, LateQatSettings& q) {
  constexpr std::array<std::string_view, 2> kRounding = {"nearest", "soft"};
  size_t rounding = q.soft ? 1 : 0;
  in.Read("enabled", q.enabled);
  in.Read("threshold", q.threshold);
  in.Read("divisor", q.levels.divisor);
  in.Read("lowest", q.levels.lowest);
  in.Read("highest", q.levels.highest);
  in.Read("quantile", q.levels.quantile);
  in.ReadChoice("rounding", kRounding, rounding);
  q.soft = rounding == 1;
  return in.Finish();
}

Status ReadTrain(TableReader in, Recipe& r) {
  constexpr std::array<std::string_view, 2> kPrecisions = {"fp32", "bf16"};
  auto precision = static_cast<size_t>(r.precision);
  in.Read("seed", r.seed);
  in.ReadChoice("precision", kPrecisions, precision);
  r.precision = static_cast<Precision>(precision);
  in.Read("focal_gamma", r.train.focal_gamma);
  in.Read("grad_clip_norm", r.train.grad_clip_norm);
  in.Read("ema_decay", r.train.ema_decay);
  return in.Finish();
}

Status ReadValidation(TableReader in, ValidationSettings& v) {
  in.Read("every", v.every);
  in.Read("max_tokens", v.max_tokens);
  in.Read("batch_windows", v.batch_windows);
  return in.Finish();
}

Status ReadReference(TableReader in, ReferenceSettings& r) {
  in.Read("dead_late_qat", r.dead_late_qat);
  in.Read("stale_gradients", r.stale_gradients);
  return in.Finish();
}

Status ReadRecipe(const toml::table& document, const std::string& source, Recipe& r) {
  TableReader in(&document, "", source);
  in.Read("name", r.network.name);
  GOLF_TRY(ReadNetwork(in.Table("network"), r.network));
  GOLF_TRY(ReadTrain(in.Table("train"), r));
  GOLF_TRY(ReadBatch(in.Table("batch"), r.train.batch));
  GOLF_TRY(ReadSchedule(in.Table("schedule"), r.train.schedule));
  GOLF_TRY(ReadAdamW(in.Table("adamw"), r.train.adamw));
  GOLF_TRY(ReadMuon(in.Table("muon"), r.train.muon));
  for (TableReader& group : in.Tables("group")) {
    GOLF_TRY(ReadGroup(std::move(group), r.train.groups.emplace_back()));
  }
  GOLF_TRY(ReadSwa(in.Table("swa"), r.train.swa));
  GOLF_TRY(ReadLateQat(in.Table("late_qat"), r.train.late_qat));
  GOLF_TRY(ReadValidation(in.Table("validation"), r.validation));
  GOLF_TRY(ReadReference(in.Table("reference"), r.train.reference));
  r.train.first_decoder_block = r.network.num_layers / 2;
  return in.Finish();
}

// Prefixes messages of the checks with the recipe's name.
Status In(const std::string& source, const Status& status) {
  if (status.ok()) return status;
  return {status.code(), fmt::format("recipe '{}': {}", source, status.message())};
}

// Each pattern must take a weight: of this network, or of one that has the parts that this one leaves out. Others are
// misspelt, or an earlier group takes all their weights.
Status CheckPatterns(const NetworkConfig& network, const TrainSettings& train) {
  std::set<std::string> names;
  for (const NetworkConfig& config : {network, WithEveryPart(network)}) {
    const std::unique_ptr<schema::ProgramT> program = BuildNetwork(config);
    for (const auto& weight : program->weights) names.insert(weight->name);
  }
  std::set<const std::string*> used;
  for (const std::string& name : names) {
    const auto group = std::ranges::find_if(
        train.groups, [&](const OptimizerGroup& g) { return MatchesAny(g.weights, name); });
    if (group == train.groups.end()) continue;
    for (const std::string& pattern : group->weights) {
      if (MatchesPattern(pattern, name)) used.insert(&pattern);
    }
  }
  for (const OptimizerGroup& group : train.groups) {
    for (const std::string& pattern : group.weights) {
      if (used.contains(&pattern)) continue;
      const bool taken = std::ranges::any_of(
          names, [&](const std::string& name) { return MatchesPattern(pattern, name); });
      return {
          Code::kUsage,
          fmt::format("group.{}.weights: '{}' takes no weight: {}", group.name, pattern,
                      taken ? "earlier groups take all that match it; put this group before them"
                            : "no weight has such a name")};
    }
  }
  for (const std::string& pattern : train.reference.stale_gradients) {
    if (std::ranges::none_of(
            names, [&](const std::string& name) { return MatchesPattern(pattern, name); })) {
      return {Code::kUsage,
              fmt::format("reference.stale_gradients: '{}' takes no weight: no weight "
                          "has such a name",
                          pattern)};
    }
  }
  return {};
}

void Flatten(const toml::node& node, const std::string& path,
             std::map<std::string, std::string>& out) {
  const auto join = [&path](std::string_view key) {
    return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
  };
  if (const toml::table* table = node.as_table()) {
    for (const auto& [key, child] : *table) Flatten(child, join(key.str()), out);
  } else if (node.is_array_of_tables()) {
    size_t index = 0;
    for (const toml::node& element : *node.as_array()) {
      const auto name = element.as_table()->at_path("name").value_or(std::to_string(index++));
      Flatten(element, join(name), out);
    }
  } else {
    out[path] = TomlValueText(node);
  }
}

}  // namespace

Result<Recipe> ParseRecipe(const std::string& text, const std::string& source,
                           std::span<const std::string> overrides) {
  GOLF_ASSIGN(toml::table document, ParseToml(text, source));
  for (const std::string& assignment : overrides) GOLF_TRY(ApplyOverride(document, assignment));
  Recipe recipe;
  GOLF_TRY(ReadRecipe(document, source, recipe));
  GOLF_TRY(In(source, CheckNetworkConfig(recipe.network)));
  GOLF_TRY(In(source, CheckTrainSettings(recipe.train, recipe.network.window)));
  if (recipe.validation.batch_windows == 0) {
    return In(source, {Code::kUsage, "validation.batch_windows: must not be 0"});
  }
  recipe.text = CanonicalToml(document);
  if (!ParseToml(recipe.text, source).ok()) {  // a checkpoint with this text could not be resumed
    return In(source, {Code::kUsage, "a text in it is not UTF-8"});
  }
  return recipe;
}

namespace {

// A recipe that somebody wrote: patterns that do nothing are mistakes. In a checkpoint's they are history.
Result<Recipe> ParseWritten(const std::string& text, const std::string& source,
                            std::span<const std::string> overrides) {
  GOLF_ASSIGN(Recipe recipe, ParseRecipe(text, source, overrides));
  GOLF_TRY(In(source, CheckPatterns(recipe.network, recipe.train)));
  return recipe;
}

}  // namespace

Result<Recipe> LoadRecipe(const std::string& name_or_path, std::span<const std::string> overrides) {
  for (const BuiltInRecipe& recipe : BuiltInRecipes()) {
    if (recipe.name == name_or_path)
      return ParseWritten(std::string(recipe.text), name_or_path, overrides);
  }
  if (name_or_path.find_first_of("./") == std::string::npos) {
    std::vector<std::string_view> names;
    for (const BuiltInRecipe& recipe : BuiltInRecipes()) names.push_back(recipe.name);
    return Status(Code::kUsage,
                  fmt::format("no recipe '{}': built in are {}; for a file give its path, "
                              "such as ./{}.toml",
                              name_or_path, fmt::join(names, ", "), name_or_path));
  }
  GOLF_ASSIGN(const std::vector<uint8_t> bytes, ReadFile(name_or_path, kMaxRecipeBytes));
  const FileKind kind = KindOf(bytes);
  if (kind != FileKind::kText && kind != FileKind::kEmpty && kind != FileKind::kUnknown) {
    return Status(Code::kUsage,
                  fmt::format("{}: {}", name_or_path, NotA("a recipe", bytes).message()));
  }
  return ParseWritten(std::string(bytes.begin(), bytes.end()), name_or_path, overrides);
}

std::map<std::string, std::string> RecipeValues(const std::string& text) {
  std::map<std::string, std::string> values;
  if (const Result<toml::table> document = ParseToml(text, "recipe"); document.ok()) {
    Flatten(*document, "", values);
  }
  return values;
}

}  // namespace golf
