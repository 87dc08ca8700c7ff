#include "runtime/verify_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "runtime/audit_fields.h"

namespace golf {
namespace {

using namespace audit;

// Far above any run, and low enough that no product of settings overflows.
constexpr uint64_t kMostTokens = uint64_t{1} << 42;
constexpr uint64_t kMostShardTokens = (uint64_t{1} << 31) - 1;  // the format's limit
constexpr uint64_t kMostWindow = uint64_t{1} << 31;
constexpr uint64_t kMostEpochs = uint64_t{1} << 20;

Status Wrong(std::string_view field) {
  return {Code::kBadData, fmt::format("the header's {} is missing, out of range or does not agree "
                                      "with the other fields",
                                      field)};
}

bool Between(const std::optional<uint64_t>& x, uint64_t lowest, uint64_t highest) {
  return x && *x >= lowest && *x <= highest;
}

bool IsOneOf(const std::string& text, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, text) != names.end();
}

bool IsFileName(const std::string& name) { return !name.empty() && name.find('/') == name.npos; }

bool AreTexts(const Json* list) {
  return list != nullptr && list->is_array() &&
         std::ranges::all_of(*list, [](const Json& text) { return text.is_string(); });
}

Status ReadShards(const Json& record, AuditHeader& header) {
  const Json* shards = Field(record, "shards");
  if (shards == nullptr || !shards->is_array() || shards->empty()) return Wrong("shards");
  std::set<std::string> digests;
  uint64_t last = 0;
  for (const Json& shard : *shards) {
    const auto tokens = Whole(shard, "tokens");
    const std::string digest = Text(shard, "sha256");
    if (!HasFields(shard, {"name", "sha256", "tokens"}) || !IsFileName(Text(shard, "name")) ||
        !IsDigest(digest) || !Between(tokens, 0, kMostShardTokens)) {
      return Wrong("shards");
    }
    if (*tokens > 0 && !digests.insert(digest).second)
      return {Code::kBadData, "the header names the same shard twice: its text is scored again"};
    header.shard_tokens += last = *tokens;
  }
  if (header.shard_tokens > kMostTokens) return Wrong("shards");

  const auto limit = header.limit = Whole(record, "limit_tokens");
  if (!limit && !IsNull(record, "limit_tokens")) return Wrong("limit_tokens");
  // Shards behind the limit are not read.
  if (limit && (*limit > header.shard_tokens || *limit <= header.shard_tokens - last))
    return Wrong("limit_tokens");
  header.used_tokens = limit.value_or(header.shard_tokens);
  return {};
}

Status ReadText(const Json& record, AuditHeader& header) {
  AuditSettings& settings = header.settings;
  const auto window = Whole(record, "window"), stride = Whole(record, "stride");
  if (!Between(window, 1, kMostWindow)) return Wrong("window");
  if (!Between(stride, 1, *window)) return Wrong("stride");
  settings.window = *window;
  settings.stride = *stride;
  header.protocol = Text(record, "protocol");
  using Tail = AuditSettings::Tail;
  if (!IsOneOf(header.protocol, {"once", "reference", "reference-all"})) return Wrong("protocol");
  settings.tail = header.protocol == "once"        ? Tail::kOnce
                  : header.protocol == "reference" ? Tail::kRepeat
                                                   : Tail::kRepeatAll;
  if (settings.tail != Tail::kOnce && header.used_tokens > 0)  // whole windows only
    header.used_tokens = (header.used_tokens - 1) / *window * *window + 1;
  if (header.used_tokens < 2 || Whole(record, "val_tokens") != header.used_tokens)
    return Wrong("val_tokens");
  settings.targets = header.used_tokens - 1;
  return Whole(record, "target_tokens") == settings.targets ? Status() : Wrong("target_tokens");
}

Status ReadTraining(const Json& ttt, AuditSettings& settings) {
  const std::string optimizer = Text(ttt, "optimizer"), rate = Text(ttt, "schedule");
  const bool fields =
      optimizer == "sgd"
          ? HasFields(ttt, {"preset", "optimizer", "lr", "schedule", "momentum", "weight_decay",
                            "clip_norm", "epochs", "chunk_tokens", "batch_sequences", "micro_batch",
                            "trainable", "bf16_weights", "hidden_offset", "fake_quant"})
          : optimizer == "adamw" &&
                HasFields(ttt, {"preset", "optimizer", "lr", "schedule", "beta1", "beta2", "eps",
                                "weight_decay", "clip_norm", "epochs", "chunk_tokens",
                                "batch_sequences", "micro_batch", "trainable", "bf16_weights",
                                "hidden_offset", "fake_quant"});
  if (!fields) return Wrong("ttt");
  if (Text(ttt, "preset").empty()) return Wrong("preset");
  for (const char* name : {"lr", "eps", "weight_decay", "clip_norm"}) {
    if (Field(ttt, name) != nullptr && !IsAmount(Number(ttt, name))) return Wrong(name);
  }
  for (const char* name : {"momentum", "beta1", "beta2"}) {
    if (Field(ttt, name) != nullptr && !(IsAmount(Number(ttt, name)) && Number(ttt, name) < 1))
      return Wrong(name);
  }
  const auto epochs = Whole(ttt, "epochs"), chunk = Whole(ttt, "chunk_tokens"),
             batch = Whole(ttt, "batch_sequences"), micro = Whole(ttt, "micro_batch");
  if (!Between(epochs, 1, kMostEpochs)) return Wrong("epochs");
  if (!Between(chunk, settings.window, kMostTokens)) return Wrong("chunk_tokens");
  if (!Between(batch, 1, kMostTokens)) return Wrong("batch_sequences");
  if (!Between(micro, 1, std::min(*batch, *chunk / settings.window))) return Wrong("micro_batch");
  if (!AreTexts(Field(ttt, "trainable"))) return Wrong("trainable");
  if (!AreTexts(Field(ttt, "bf16_weights"))) return Wrong("bf16_weights");
  if (!IsFlag(ttt, "hidden_offset")) return Wrong("hidden_offset");
  if (!IsNull(ttt, "fake_quant")) {
    const Json& quant = *Field(ttt, "fake_quant");
    const double lowest = Number(quant, "lowest"), highest = Number(quant, "highest");
    if (!HasFields(quant, {"divisor", "lowest", "highest"}) || !(Number(quant, "divisor") > 0) ||
        !std::isfinite(lowest) || !std::isfinite(highest) || lowest > highest) {
      return Wrong("fake_quant");
    }
  }
  if (!IsOneOf(rate, {"constant", "cosine", "warmup-cosine"})) return Wrong("schedule");
  using Rate = AuditSettings::Rate;
  settings.training = {*chunk, *epochs, *batch, Number(ttt, "lr"),
                       rate == "constant" ? Rate::kConstant
                       : rate == "cosine" ? Rate::kCosine
                                          : Rate::kWarmupCosine};
  return {};
}

}  // namespace

Result<AuditHeader> ReadAuditHeader(const Json& record) {
  if (Text(record, "format") != "golf-audit" || Whole(record, "version") != 2) {
    return Status(Code::kBadData,
                  "not an audit log of version 2; golf-run writes one with --audit FILE");
  }
  if (!HasFields(record, {"type",
                          "format",
                          "version",
                          "artifact_name",
                          "artifact_bytes",
                          "artifact_sha256",
                          "tokenizer_sha256",
                          "tokenizer_checked",
                          "shards",
                          "limit_tokens",
                          "val_tokens",
                          "target_tokens",
                          "window",
                          "stride",
                          "protocol",
                          "precision",
                          "kernels",
                          "processes",
                          "golf",
                          "ttt",
                          "prev"})) {
    return Status(Code::kBadData, "the header has not the fields of version 2, in their order");
  }
  AuditHeader header;
  header.artifact_sha256 = Text(record, "artifact_sha256");
  header.tokenizer_sha256 = Text(record, "tokenizer_sha256");
  const auto bytes = Whole(record, "artifact_bytes"), processes = Whole(record, "processes");
  if (!IsFileName(Text(record, "artifact_name"))) return Wrong("artifact_name");
  if (!Between(bytes, 1, UINT64_MAX)) return Wrong("artifact_bytes");
  if (!IsDigest(header.artifact_sha256)) return Wrong("artifact_sha256");
  if (!IsDigest(header.tokenizer_sha256)) return Wrong("tokenizer_sha256");
  if (!IsFlag(record, "tokenizer_checked")) return Wrong("tokenizer_checked");
  if (!IsOneOf(Text(record, "precision"), {"fp32", "bf16"})) return Wrong("precision");
  if (Text(record, "kernels").empty()) return Wrong("kernels");
  if (!Between(processes, 1, kMostTokens)) return Wrong("processes");
  if (Text(record, "golf").empty()) return Wrong("golf");
  header.artifact_bytes = *bytes;
  GOLF_TRY(ReadShards(record, header));
  GOLF_TRY(ReadText(record, header));
  const Json& ttt = *Field(record, "ttt");
  if (!ttt.is_null() && header.settings.tail == AuditSettings::Tail::kRepeatAll)
    return Wrong("protocol");  // is for scores without test-time training
  if (!ttt.is_null()) GOLF_TRY(ReadTraining(ttt, header.settings));
  return header;
}

}  // namespace golf
