#include "tools/train_report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include "schemas/program_generated.h"
#include "tools/cli.h"

namespace golf {
namespace {

using Json = nlohmann::ordered_json;

const char* RuleName(UpdateRule rule) {
  switch (rule) {
    case UpdateRule::kNone:
      return "none";
    case UpdateRule::kAdamW:
      return "adamw";
    case UpdateRule::kMuon:
      return "muon";
  }
  return "";
}

std::string ShapeText(const Json& shape) {
  std::string text;
  for (const Json& dim : shape)
    text += fmt::format("{}{}", text.empty() ? "" : " x ", dim.get<uint32_t>());
  return text.empty() ? "scalar" : text;
}

}  // namespace

Result<Json> DescribePlan(const TrainingRun& run) {
  const Recipe& recipe = run.recipe();
  const Trainer& trainer = run.trainer();
  const BatchSettings& batch = recipe.train.batch;
  GOLF_ASSIGN(const size_t peak_bytes, run.PeakBytes());
  Json plan;
  plan["recipe"] = recipe.network.name;
  plan["precision"] = recipe.precision == Precision::kBf16 ? "bf16" : "fp32";
  plan["parameters"] = trainer.weights().parameter_count();
  plan["first_step"] = trainer.step();
  plan["last_step"] = run.last_step();
  plan["tokens_per_step"] = batch.tokens;
  plan["passes_per_step"] = batch.tokens / (uint64_t{batch.micro_windows} * recipe.network.window);
  plan["windows_per_pass"] = batch.micro_windows;
  plan["window"] = recipe.network.window;
  plan["stream_tokens"] = run.stream().tokens();
  plan["shards"] = run.stream().shards().size();
  plan["peak_bytes"] = peak_bytes;
  plan["pass_bytes"] = trainer.executor().arena_bytes();
  plan["weights"] = Json::array();
  for (size_t i = 0; i < trainer.weights().count(); ++i) {
    const WeightUpdate& update = trainer.optimizer().updates()[i];
    const auto shape = trainer.weights().shape(i);
    plan["weights"].push_back({{"name", trainer.weights().name(i)},
                               {"shape", std::vector<uint32_t>(shape.begin(), shape.end())},
                               {"parameters", trainer.weights()[i].size()},
                               {"group", update.group},
                               {"rule", RuleName(update.rule)},
                               {"lr", update.lr},
                               {"weight_decay", update.weight_decay},
                               {"stale_gradient", update.stale_gradient}});
  }
  return plan;
}

std::string PlanText(const Json& plan, const std::string& executor_plan) {
  const auto number = [&plan](const char* key) { return plan[key].get<uint64_t>(); };
  std::string text = executor_plan;
  text += fmt::format("\n{:<34} {:>12} {:>12}  {:<12} {:<5} {:>8} {:>6}\n", "weight", "shape",
                      "parameters", "group", "rule", "lr", "decay");
  for (const Json& weight : plan["weights"]) {
    const bool stale = weight["stale_gradient"].get<bool>();
    text += fmt::format("{:<34} {:>12} {:>12}  {:<12} {:<5} {:>8} {:>6}\n",
                        Printable(weight["name"].get<std::string>()), ShapeText(weight["shape"]),
                        Grouped(weight["parameters"].get<uint64_t>()),
                        stale ? "(stale)" : weight["group"].get<std::string>(),
                        weight["rule"].get<std::string>(), weight["lr"].get<double>(),
                        weight["weight_decay"].get<double>());
  }
  text += fmt::format("\nrecipe      {}, {}\n", Printable(plan["recipe"].get<std::string>()),
                      plan["precision"].get<std::string>());
  text += fmt::format("parameters  {}\n", Grouped(number("parameters")));
  text += fmt::format("data        {} tokens in {} shard(s), {:.2f} passes\n",
                      Grouped(number("stream_tokens")), number("shards"),
                      static_cast<double>(number("tokens_per_step") * number("last_step")) /
                          static_cast<double>(number("stream_tokens")));
  text +=
      fmt::format("steps       {} to {}, {} tokens each: {} passes of {} windows of {} tokens\n",
                  Grouped(number("first_step")), Grouped(number("last_step")),
                  Grouped(number("tokens_per_step")), number("passes_per_step"),
                  number("windows_per_pass"), number("window"));
  text += fmt::format("memory      {} bytes at most, {} of them for a pass\n",
                      Grouped(number("peak_bytes")), Grouped(number("pass_bytes")));
  return text;
}

Json DescribeResult(const TrainingRun& run, const TrainingSummary& summary) {
  Json result;
  result["recipe"] = run.recipe().network.name;
  result["parameters"] = run.trainer().weights().parameter_count();
  result["first_step"] = summary.first_step;
  result["steps"] = run.trainer().step();
  result["loss_nats"] = summary.last ? Json(summary.last->loss_nats) : nullptr;
  result["validation"] = Json::object();
  for (const auto& [weights, validation] : summary.validation) {
    Json& entry = result["validation"][weights];
    entry["loss_nats"] = validation.loss_nats;
    if (validation.bits_per_byte) entry["bits_per_byte"] = *validation.bits_per_byte;
    entry["targets"] = validation.targets;
  }
  result["tokens_per_second"] = summary.last ? Json(summary.last->tokens_per_second) : nullptr;
  result["train_seconds"] = run.train_seconds();
  result["calibration_seconds"] = run.calibration_seconds();
  result["peak_resident_bytes"] = PeakResidentBytes();
  result["checkpoint"] = run.newest_checkpoint();
  return result;
}

std::string ResultText(const Json& result) {
  std::string training;
  if (!result["loss_nats"].is_null()) {
    training =
        fmt::format("training loss {:.4f} nats, {} tokens/s", result["loss_nats"].get<double>(),
                    Rate(result["tokens_per_second"].get<double>()));
  } else {
    training = result["steps"] == result["first_step"] ? "nothing was left to train"
                                                       : "every step was skipped";
  }
  std::string text = fmt::format("{}: {} steps, {}, peak memory {} bytes\n",
                                 Printable(result["recipe"].get<std::string>()),
                                 Grouped(result["steps"].get<uint64_t>()), training,
                                 Grouped(result["peak_resident_bytes"].get<uint64_t>()));
  for (const auto& [weights, validation] : result["validation"].items()) {
    text += fmt::format("validation of the {} weights: {:.6f} nats", weights,
                        validation["loss_nats"].get<double>());
    if (validation.contains("bits_per_byte")) {
      text += fmt::format(", {:.6f} bits per byte", validation["bits_per_byte"].get<double>());
    }
    text += fmt::format(", {} targets\n", Grouped(validation["targets"].get<uint64_t>()));
  }
  const double steps = result["train_seconds"].get<double>(),
               calibration = result["calibration_seconds"].get<double>();
  text += fmt::format("clock: {:.1f} s of steps, {:.1f} s of calibration, together {:.1f} s\n",
                      steps, calibration, steps + calibration);
  text += fmt::format("checkpoint: {}\n", Printable(result["checkpoint"].get<std::string>()));
  return text;
}

Json DescribeEvaluation(const EvaluatedWeights& evaluated) {
  Json result;
  result["recipe"] = evaluated.recipe;
  result["weights"] = evaluated.weights;
  result["parameters"] = evaluated.parameters;
  result["tokenizer"] = evaluated.tokenizer.empty() ? Json(nullptr) : Json(evaluated.tokenizer);
  result["loss_nats"] = evaluated.result.loss_nats;
  if (evaluated.result.bits_per_byte) result["bits_per_byte"] = *evaluated.result.bits_per_byte;
  result["targets"] = evaluated.result.targets;
  return result;
}

std::string EvaluationText(const EvaluatedWeights& evaluated) {
  std::string text = fmt::format("{}, {} weights: {:.6f} nats", Printable(evaluated.recipe),
                                 evaluated.weights, evaluated.result.loss_nats);
  if (evaluated.result.bits_per_byte) {
    text += fmt::format(", {:.6f} bits per byte", *evaluated.result.bits_per_byte);
  }
  text += fmt::format(", {} targets\n", Grouped(evaluated.result.targets));
  return evaluated.tokenizer.empty() ? text
                                     : text + fmt::format("tokenizer: {}\n", evaluated.tokenizer);
}

uint64_t PeakResidentBytes() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace golf
