#include "tools/ttt_flags.h"

#include <algorithm>
#include <map>

#include "tools/cli.h"
#include "tools/number_flags.h"

namespace golf {
namespace {

using Optimizer = TttOptions::Optimizer;
using Schedule = TttOptions::Schedule;

const std::map<std::string, Optimizer> kOptimizers = {{"sgd", Optimizer::kSgd},
                                                      {"adamw", Optimizer::kAdamW}};
const std::map<std::string, Schedule> kSchedules = {{"constant", Schedule::kConstant},
                                                    {"cosine", Schedule::kCosine},
                                                    {"warmup-cosine", Schedule::kWarmupCosine}};

template <class T>
void Override(const std::optional<T>& flag, T& setting) {
  if (flag) setting = *flag;
}

}  // namespace

void AddTttFlags(CLI::App& app, TttFlags& flags) {
  auto* group = app.add_option_group(
      "Test-time training",
      "Score a chunk, then train on it, then score the next; any of these turns it on");
  const auto turn_on = [&flags](const auto&) { flags.on = true; };
  const auto add = [&](const char* name, auto& value, const char* help, const char* type) {
    return group->add_option(name, value, help)->type_name(type)->each(turn_on);
  };
  const auto add_count = [&](const char* name, auto& value, const char* help) {
    return AddCount(*group, name, value, help)->type_name("N")->each(turn_on);
  };
  const auto add_real = [&](const char* name, std::optional<double>& value, const char* help) {
    return AddReal(*group, name, value, help)->type_name("X")->each(turn_on);
  };
  group->add_flag("--ttt", flags.on, "Train on each chunk after it was scored");
  const std::vector<std::string> presets(TttPresets().begin(), TttPresets().end());
  add("--ttt-preset", flags.preset,
      "Settings of a published run: pr598, pr668 (default), pr1004, pr1232; or slot, a learnt "
      "offset "
      "on the last hidden state",
      "NAME")
      ->check(CLI::IsMember(presets).description(""));
  add("--ttt-optimizer", flags.optimizer, "sgd or adamw", "NAME")->transform(OneOf(kOptimizers));
  add_real("--ttt-lr", flags.lr, "Learning rate before the schedule (0.002)");
  add("--ttt-schedule", flags.schedule, "Over the chunks: constant, cosine, warmup-cosine", "NAME")
      ->transform(OneOf(kSchedules));
  add_real("--ttt-momentum", flags.momentum, "Of sgd (0.9)");
  add_real("--ttt-weight-decay", flags.weight_decay, "Decoupled (0)");
  add_real("--ttt-clip", flags.clip_norm, "Largest gradient norm, 0 for any (1)");
  add_count("--ttt-epochs", flags.epochs, "Times each chunk is trained on (10)");
  add_count("--ttt-chunk", flags.chunk_tokens, "Tokens scored before training on them (32768)");
  add_count("--ttt-batch", flags.batch_sequences, "Windows per update (32)");
  add_count("--ttt-micro-batch", flags.micro_batch,
            "Windows per pass: less memory, the same update");
  auto* freeze = add_count("--ttt-freeze-blocks", flags.freeze_blocks,
                           "The first N blocks stay as they are (2); more than there are: all");
  add("--ttt-trainable", flags.trainable,
      "Rules on weight names, the last that matches decides: "
      "--ttt-trainable='-*,+blocks.-1.*,+*scale*'; blocks.-1 is the last block",
      "RULES")
      ->delimiter(',')
      ->allow_extra_args(false)  // what follows is a shard
      ->excludes(freeze);
  add("--ttt-bf16", flags.bf16_weights,
      "Patterns of weights that keep bfloat16 values and moments (preset pr1232: its embeddings "
      "and refiner matrices)",
      "PATTERNS")
      ->delimiter(',')
      ->allow_extra_args(false);
  group->add_flag_function(
      "--ttt-fake-quant,!--no-ttt-fake-quant",
      [&flags](int64_t count) { flags.on = true, flags.fake_quant = count > 0; },
      "Train through int6 weights as PR 598 did (preset pr598: on)");
}

Result<std::optional<TttOptions>> TttOptionsOf(const TttFlags& flags, uint32_t blocks) {
  if (!flags.on) return std::optional<TttOptions>();
  GOLF_ASSIGN(TttOptions options, TttPreset(flags.preset));
  options.trainable = WithinBlocks(std::move(options.trainable), blocks);
  Override(flags.optimizer, options.optimizer);
  Override(flags.schedule, options.schedule);
  Override(flags.lr, options.lr);
  Override(flags.momentum, options.momentum);
  Override(flags.weight_decay, options.weight_decay);
  Override(flags.clip_norm, options.clip_norm);
  Override(flags.epochs, options.epochs);
  Override(flags.chunk_tokens, options.chunk_tokens);
  Override(flags.batch_sequences, options.batch_sequences);
  Override(flags.micro_batch, options.micro_batch);
  if (flags.freeze_blocks)
    options.trainable = FreezeFirstBlocks(std::min(*flags.freeze_blocks, blocks));
  if (!flags.trainable.empty()) options.trainable = flags.trainable;
  if (!flags.bf16_weights.empty()) options.bf16_weights = flags.bf16_weights;
  if (flags.fake_quant)
    options.fake_quant = *flags.fake_quant ? std::optional(FakeQuant{}) : std::nullopt;
  return std::optional(options);
}

}  // namespace golf
