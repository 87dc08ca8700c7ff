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
  if (!options.bf16_weights.empty()) json["bf16_weights"] = options.bf16_weights;
  if (options.hidden_offset) json["hidden_offset"] = true;
  json["fake_quant"] = nullptr;
  if (options.fake_quant) {
    const FakeQuant& q = *options.fake_quant;
    json["fake_quant"] = {{"divisor", q.divisor}, {"lowest", q.lowest}, {"highest", q.highest}};
  }
  return json;
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
          {"shards", std::move(shards)},
          {"val_tokens", facts.stream_tokens},
          {"target_tokens", facts.targets},
          {"window", facts.rule.length},
          {"stride", facts.rule.stride},
          {"protocol", facts.protocol},
          {"precision", facts.precision == Precision::kFp32 ? "fp32" : "bf16"},
          {"ttt", facts.ttt ? ToJson(*facts.ttt) : Json(nullptr)}};
}

}  // namespace golf
