#include "runtime/run_facts.h"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace golf {
namespace {

using Json = nlohmann::ordered_json;

std::string FileName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

Json ToJson(const TttOptions& options) {
  Json json = {{"preset", options.preset},
               {"optimizer", Name(options.optimizer)},
               {"lr", options.lr},
               {"schedule", Name(options.schedule)}};
  if (options.optimizer == TttOptions::Optimizer::kSgd) {
    json["momentum"] = options.momentum;
  } else {
    json["beta1"] = options.beta1;
    json["beta2"] = options.beta2;
    json["eps"] = options.eps;
  }
  json["weight_decay"] = options.weight_decay;
  json["clip_norm"] = options.clip_norm;
  json["epochs"] = options.epochs;
  json["chunk_tokens"] = options.chunk_tokens;
  json["batch_sequences"] = options.batch_sequences;
  json["micro_batch"] = options.micro_batch;
  json["trainable"] = options.trainable;
  json["bf16_weights"] = options.bf16_weights;
  json["hidden_offset"] = options.hidden_offset;
  json["fake_quant"] = nullptr;
  if (options.fake_quant) {
    const FakeQuant& q = *options.fake_quant;
    json["fake_quant"] = {{"divisor", q.divisor}, {"lowest", q.lowest}, {"highest", q.highest}};
  }
  return json;
}

template <class Enum>
Enum OneOf(const Json& name, std::initializer_list<Enum> values) {
  for (const Enum value : values) {
    if (name == Name(value)) return value;
  }
  return *values.begin();  // does not give back the name, which RunFactsOf() sees
}

TttOptions TttOptionsOf(const Json& json) {
  using Optimizer = TttOptions::Optimizer;
  using Schedule = TttOptions::Schedule;
  TttOptions options;
  options.preset = json.at("preset");
  options.optimizer = OneOf(json.at("optimizer"), {Optimizer::kSgd, Optimizer::kAdamW});
  options.lr = json.at("lr");
  options.schedule =
      OneOf(json.at("schedule"), {Schedule::kConstant, Schedule::kCosine, Schedule::kWarmupCosine});
  options.momentum = json.value("momentum", options.momentum);
  options.beta1 = json.value("beta1", options.beta1);
  options.beta2 = json.value("beta2", options.beta2);
  options.eps = json.value("eps", options.eps);
  options.weight_decay = json.at("weight_decay");
  options.clip_norm = json.at("clip_norm");
  options.epochs = json.at("epochs");
  options.chunk_tokens = json.at("chunk_tokens");
  options.batch_sequences = json.at("batch_sequences");
  options.micro_batch = json.at("micro_batch");
  options.trainable = json.at("trainable").get<TrainableRules>();
  options.bf16_weights = json.at("bf16_weights").get<std::vector<std::string>>();
  options.hidden_offset = json.at("hidden_offset");
  if (const Json& q = json.at("fake_quant"); !q.is_null())
    options.fake_quant = FakeQuant{q.at("divisor"), q.at("lowest"), q.at("highest")};
  return options;
}

RunFacts ParseFacts(const Json& header) {
  RunFacts facts;
  facts.artifact_path = header.at("artifact_name");
  facts.artifact_bytes = header.at("artifact_bytes");
  facts.artifact_sha256 = header.at("artifact_sha256");
  facts.tokenizer_sha256 = header.at("tokenizer_sha256");
  facts.tokenizer_checked = header.at("tokenizer_checked");
  for (const Json& shard : header.at("shards"))
    facts.shards.push_back({shard.at("name"), shard.at("sha256"), shard.at("tokens")});
  if (const Json& limit = header.at("limit_tokens"); !limit.is_null())
    facts.limit_tokens = limit.get<uint64_t>();
  facts.stream_tokens = header.at("val_tokens");
  facts.targets = header.at("target_tokens");
  facts.protocol = header.at("protocol");
  facts.rule = {header.at("window"), header.at("stride"),
                TailOf(facts.protocol).value_or(Tail::kOnce)};
  facts.precision = header.at("precision") == "bf16" ? Precision::kBf16 : Precision::kFp32;
  facts.kernels = header.at("kernels");
  facts.processes = header.at("processes");
  facts.golf = header.at("golf");
  if (const Json& ttt = header.at("ttt"); !ttt.is_null()) facts.ttt = TttOptionsOf(ttt);
  return facts;
}

}  // namespace

Json ToJson(const RunFacts& facts) {
  Json shards = Json::array();
  for (const ShardFacts& shard : facts.shards) {
    shards.push_back(
        {{"name", FileName(shard.path)}, {"sha256", shard.sha256}, {"tokens", shard.tokens}});
  }
  return {{"artifact_name", FileName(facts.artifact_path)},
          {"artifact_bytes", facts.artifact_bytes},
          {"artifact_sha256", facts.artifact_sha256},
          {"tokenizer_sha256", facts.tokenizer_sha256},
          {"tokenizer_checked", facts.tokenizer_checked},
          {"shards", std::move(shards)},
          {"limit_tokens", facts.limit_tokens ? Json(*facts.limit_tokens) : Json(nullptr)},
          {"val_tokens", facts.stream_tokens},
          {"target_tokens", facts.targets},
          {"window", facts.rule.length},
          {"stride", facts.rule.stride},
          {"protocol", facts.protocol},
          {"precision", facts.precision == Precision::kFp32 ? "fp32" : "bf16"},
          {"kernels", facts.kernels},
          {"processes", facts.processes},
          {"golf", facts.golf},
          {"ttt", facts.ttt ? ToJson(*facts.ttt) : Json(nullptr)}};
}

Result<RunFacts> RunFactsOf(const Json& header) {
  const Status bad(Code::kBadData, "the header's settings are not those of a run");
  try {
    RunFacts facts = ParseFacts(header);
    const Json again = ToJson(facts);
    for (const auto& [key, value] : again.items()) {
      if (header.at(key) != value) return bad;
    }
    return facts;
  } catch (const Json::exception&) {
    return bad;
  }
}

}  // namespace golf
