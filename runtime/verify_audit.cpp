#include "runtime/verify_audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "artifact/file.h"
#include "artifact/sha256.h"
#include "runtime/recount_bytes.h"
#include "runtime/windows.h"

namespace golf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxLogBytes = size_t{1} << 28;
constexpr double kLn2 = 0.693147180559945309417;

// One line in the only form that is accepted: as this library prints what it read. So there are no duplicate keys and no
// two readings of a line. Nothing nests deeper than a shard's entry in the header.
std::optional<Json> ParseLine(std::string_view line) {
  constexpr int kMaxDepth = 4;
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= kMaxDepth; };
  Json record = Json::parse(line.begin(), line.end(), shallow, false);
  if (!record.is_object() || record.dump() != line) return std::nullopt;
  return record;
}

const Json* Field(const Json& record, const char* name) {
  const auto it = record.find(name);
  return it == record.end() ? nullptr : &*it;
}

std::string Text(const Json& record, const char* name) {
  const Json* field = Field(record, name);
  return field != nullptr && field->is_string() ? field->get<std::string>() : std::string();
}

std::optional<uint64_t> Whole(const Json& record, const char* name) {
  const Json* field = Field(record, name);
  if (field == nullptr || !field->is_number_unsigned()) return std::nullopt;
  return field->get<uint64_t>();
}

// NaN where there is no such number.
double Number(const Json& record, const char* name) {
  const Json* field = Field(record, name);
  return field != nullptr && field->is_number() ? field->get<double>() : std::nan("");
}

std::optional<TargetRange> RangeOf(const Json& record) {
  const Json* field = Field(record, "range");
  if (field == nullptr || !field->is_array() || field->size() != 2) return std::nullopt;
  if (!(*field)[0].is_number_unsigned() || !(*field)[1].is_number_unsigned()) return std::nullopt;
  const TargetRange range{(*field)[0].get<uint64_t>(), (*field)[1].get<uint64_t>()};
  if (range.begin >= range.end) return std::nullopt;
  return range;
}

// The receipt adds target by target, the log record by record.
bool Near(double a, double b) {
  return std::abs(a - b) <= 1e-10 * std::max(std::abs(a), std::abs(b));
}

class Verifier {
 public:
  Verifier(std::string path, const AuditEvidence& evidence)
      : path_(std::move(path)), evidence_(evidence) {}

  Result<AuditReport> Run(std::string_view rest) {
    report_.head_sha256 = std::string(64, '0');
    while (!rest.empty()) {
      ++line_;
      const size_t end = rest.find('\n');
      if (end == std::string_view::npos) return Wrong("the line is cut off");
      GOLF_TRY(Line(rest.substr(0, end)));
      rest.remove_prefix(end + 1);
    }
    if (!ended_)
      return Wrong("there is no end record: the run was not finished, or its end was removed");
    GOLF_TRY(CheckReceipt());
    return report_;
  }

 private:
  Status Wrong(std::string_view what) const {
    return {Code::kBadData, fmt::format("{}, line {}: {}", path_, line_, what)};
  }

  Status Line(std::string_view line) {
    if (ended_) return Wrong("a record after the end record");
    const std::optional<Json> record = ParseLine(line);
    if (!record) return Wrong("not a record (one JSON object in canonical form)");
    if (Text(*record, "prev") != report_.head_sha256) {
      return Wrong("does not follow the line before it: a record was altered, dropped or moved");
    }
    const std::string type = Text(*record, "type");
    if ((type == "header") != (line_ == 1))
      return Wrong("the header has to be the first record, and only that");
    report_.head_sha256 =
        ToHex(Sha256::Of({reinterpret_cast<const uint8_t*>(line.data()), line.size()}));
    if (type == "header") return Header(*record);
    if (Text(*record, "weights") != weights_)
      return Wrong("names other weights than the records before it produced");
    if (type == "score") return Score(*record);
    if (type == "train") return Train(*record);
    if (type == "end") return End(*record);
    return Wrong(fmt::format("unknown record type '{}'", type));
  }

  Status Header(const Json& record) {
    const auto targets = Whole(record, "target_tokens"), stride = Whole(record, "stride");
    const Json *shards = Field(record, "shards"), *ttt = Field(record, "ttt");
    if (Text(record, "format") != "golf-audit" || Whole(record, "version") != 1) {
      return Wrong("not an audit log of version 1");
    }
    if (!targets || !stride || shards == nullptr || !shards->is_array() || ttt == nullptr) {
      return Wrong("the header is incomplete");
    }
    report_.targets = *targets;
    stride_ = *stride;
    adapts_ = !ttt->is_null();
    report_.protocol = Text(record, "protocol");
    if (!TailOf(report_.protocol)) return Wrong("unknown protocol");
    weights_ = report_.artifact_sha256 = Text(record, "artifact_sha256");
    if (weights_.size() != 64) return Wrong("the header names no artifact");
    return CheckEvidence(*shards);
  }

  Status CheckEvidence(const Json& shards) {
    if (!evidence_.artifact_path.empty()) {
      GOLF_ASSIGN(const std::string sha256, Sha256OfFile(evidence_.artifact_path));
      if (sha256 != report_.artifact_sha256) {
        return Wrong(fmt::format("the run used another artifact than {} ({} instead of {})",
                                 evidence_.artifact_path, report_.artifact_sha256, sha256));
      }
    }
    if (evidence_.shard_paths.empty()) return {};
    if (shards.size() != evidence_.shard_paths.size()) {
      return Wrong(fmt::format("the run used {} shards, not {}", shards.size(),
                               evidence_.shard_paths.size()));
    }
    for (size_t i = 0; i < shards.size(); ++i) {
      GOLF_ASSIGN(const std::string sha256, Sha256OfFile(evidence_.shard_paths[i]));
      if (!shards[i].is_object() || Text(shards[i], "sha256") != sha256) {
        return Wrong(fmt::format("shard {} is another file than {}", i, evidence_.shard_paths[i]));
      }
    }
    if (evidence_.byte_table) {
      GOLF_ASSIGN(recount_, ByteRecount::Open(*evidence_.byte_table, evidence_.shard_paths));
      report_.bytes_recounted = true;
    }
    return {};
  }

  Status Score(const Json& record) {
    const std::optional<TargetRange> range = RangeOf(record);
    const auto bytes = Whole(record, "bytes"), count = Whole(record, "count");
    const double nll = Number(record, "nll_nats");
    if (!range || !bytes || !count) return Wrong("the score record is incomplete");
    if (range->end > report_.targets) return Wrong("scores targets behind the end of the stream");
    if (range->begin > scored_)
      return Wrong(fmt::format("targets {} to {} are never scored", scored_, range->begin));
    if (range->begin < scored_) GOLF_TRY(Repeat(*range));
    if (*count != range->end - range->begin)
      return Wrong("the count is not the length of the range");
    if (!std::isfinite(nll) || nll < 0) return Wrong("the NLL sum is not a number of 0 or more");
    if (recount_ && recount_->Bytes(*range) != *bytes) {
      return Wrong(fmt::format("counts {} bytes where the text has {}", *bytes,
                               recount_->Bytes(*range).value_or(0)));
    }
    scored_ = std::max(scored_, range->end);
    report_.nll_nats += nll;
    report_.bytes += *bytes;
    report_.count += *count;
    ++report_.score_records;
    trained_last_ = false;
    return {};
  }

  // The reference scripts score the last `stride` targets again and again; nothing else may come back.
  Status Repeat(TargetRange range) {
    const uint64_t tail = report_.targets - std::min(stride_, report_.targets);
    if (report_.protocol == "once" || range.begin < tail) {
      return Wrong(fmt::format("scores targets from {} on a second time", range.begin));
    }
    report_.repeated += std::min(scored_, range.end) - range.begin;
    return {};
  }

  Status Train(const Json& record) {
    const std::optional<TargetRange> range = RangeOf(record);
    const auto updates = Whole(record, "updates");
    const double lr = Number(record, "lr");
    if (!range || !updates || !std::isfinite(lr) || lr < 0)
      return Wrong("the train record is incomplete");
    if (!adapts_) return Wrong("trains in a run that was announced without test-time training");
    if (range->end > scored_)
      return Wrong(fmt::format("trains on targets from {} on before they are scored", scored_));
    weights_ = report_.head_sha256;
    report_.updates += *updates;
    ++report_.train_records;
    trained_last_ = true;
    return {};
  }

  Status End(const Json& record) {
    if (scored_ != report_.targets) {
      return Wrong(fmt::format("targets {} to {} are never scored", scored_, report_.targets));
    }
    if (trained_last_) return Wrong("there was training after the last score");
    if (report_.count > 0)
      report_.loss_nats = report_.nll_nats / static_cast<double>(report_.count);
    if (report_.bytes > 0) {
      report_.bits_per_byte = report_.nll_nats / kLn2 / static_cast<double>(report_.bytes);
    }
    if (Number(record, "nll_nats") != report_.nll_nats || Whole(record, "bytes") != report_.bytes ||
        Whole(record, "count") != report_.count ||
        Number(record, "loss_nats") != report_.loss_nats ||
        Number(record, "bits_per_byte") != report_.bits_per_byte) {
      return Wrong("the totals are not those of the score records");
    }
    ended_ = true;
    return {};
  }

  Status CheckReceipt() {
    if (evidence_.receipt_path.empty()) return {};
    GOLF_ASSIGN(const std::vector<uint8_t> bytes, ReadFile(evidence_.receipt_path, kMaxLogBytes));
    const Json receipt = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
    const auto differs = [&](const char* field) {
      return Status(Code::kBadData,
                    fmt::format("{}: {} is not that of {}", evidence_.receipt_path, field, path_));
    };
    if (!receipt.is_object()) return {Code::kBadData, evidence_.receipt_path + ": not a receipt"};
    if (Text(receipt, "audit_head_sha256") != report_.head_sha256)
      return differs("audit_head_sha256");
    if (Whole(receipt, "bytes_scored") != report_.bytes) return differs("bytes_scored");
    if (Whole(receipt, "scored") != report_.count) return differs("scored");
    if (!Near(Number(receipt, "val_loss"), report_.loss_nats)) return differs("val_loss");
    if (!Near(Number(receipt, "val_bpb"), report_.bits_per_byte)) return differs("val_bpb");
    return {};
  }

  std::string path_;
  const AuditEvidence& evidence_;
  AuditReport report_;
  std::optional<ByteRecount> recount_;
  std::string weights_;  // version that the next record has to name
  uint64_t scored_ = 0;  // targets below are scored
  uint64_t stride_ = 0;
  size_t line_ = 0;
  bool adapts_ = false, trained_last_ = false, ended_ = false;
};

}  // namespace

Result<AuditReport> VerifyAuditText(std::string_view log, const std::string& name,
                                    const AuditEvidence& evidence) {
  return Verifier(name, evidence).Run(log);
}

Result<AuditReport> VerifyAudit(const std::string& log_path, const AuditEvidence& evidence) {
  GOLF_ASSIGN(const std::vector<uint8_t> bytes, ReadFile(log_path, kMaxLogBytes));
  return VerifyAuditText({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, log_path,
                         evidence);
}

}  // namespace golf
