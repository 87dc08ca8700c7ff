#include "runtime/verify_audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "artifact/check_tokenizer.h"
#include "artifact/file.h"
#include "artifact/sha256.h"
#include "artifact/token_shard.h"
#include "runtime/audit_fields.h"
#include "runtime/audit_schedule.h"
#include "runtime/recount_bytes.h"
#include "runtime/verify_header.h"
#include "runtime/verify_receipt.h"

namespace golf {
namespace {

using namespace audit;

constexpr size_t kMaxLogBytes = size_t{1} << 28;
constexpr double kLn2 = 0.693147180559945309417;

// One line in the only form that is accepted: as this library prints what it read. So there are no duplicate keys and no
// two readings of a line. Nothing nests deeper than a shard's entry in the header.
std::optional<Json> ParseLine(std::string_view line) {
  Result<Json> record = ParseJson<Json>(line, {.max_depth = 4});
  if (!record.ok() || !record->is_object() || DumpJson(*record) != line) return std::nullopt;
  return std::move(*record);
}

// Whether the record names the starts of the first and last window that it should.
bool StartsAre(const Json& record, const ExpectedRecord& expected) {
  const Json* field = Field(record, "starts");
  return field != nullptr && *field == Json::array({expected.first_start, expected.last_start}) &&
         (*field)[0].is_number_unsigned() && (*field)[1].is_number_unsigned();
}

std::optional<TargetRange> RangeOf(const Json& record) {
  const Json* field = Field(record, "range");
  if (field == nullptr || !field->is_array() || field->size() != 2) return std::nullopt;
  if (!(*field)[0].is_number_unsigned() || !(*field)[1].is_number_unsigned()) return std::nullopt;
  const TargetRange range{(*field)[0].get<uint64_t>(), (*field)[1].get<uint64_t>()};
  if (range.begin >= range.end) return std::nullopt;
  return range;
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
    if (!evidence_.receipt_path.empty()) {
      GOLF_TRY(VerifyReceipt(evidence_, record_, report_));
      report_.receipt_checked = true;
    }
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
    Result<AuditHeader> header = ReadAuditHeader(record);
    if (!header.ok()) return Wrong(header.status().message());
    header_ = std::move(*header);
    record_ = record;
    schedule_.emplace(header_.settings);
    expected_ = schedule_->Next();
    weights_ = report_.artifact_sha256 = header_.artifact_sha256;
    report_.protocol = header_.protocol;
    report_.targets = header_.settings.targets;
    report_.shard_tokens = header_.shard_tokens;
    report_.used_tokens = header_.used_tokens;
    report_.limited = header_.limit.has_value();
    if (header_.settings.training) report_.chunks = schedule_->chunks();
    GOLF_TRY(CheckArtifact());
    GOLF_TRY(CheckTokenizerModel());
    return CheckShards(*Field(record, "shards"));
  }

  Status CheckArtifact() const {
    if (!evidence_.artifact) return {};
    const AuditEvidence::PackedFile& artifact = *evidence_.artifact;
    if (artifact.sha256 != report_.artifact_sha256) {
      return Wrong(fmt::format("the run used another artifact than {} ({} instead of {})",
                               artifact.path, report_.artifact_sha256, artifact.sha256));
    }
    if (artifact.bytes != header_.artifact_bytes) {
      return Wrong(fmt::format("artifact_bytes is {}, and {} has {}", header_.artifact_bytes,
                               artifact.path, artifact.bytes));
    }
    if (artifact.tokenizer.sha256 != header_.tokenizer_sha256)
      return Wrong("tokenizer_sha256 is not that of " + artifact.path);
    for (const Json& shard : *Field(record_, "shards")) {
      const auto same = [&](const ShardFacts& seen) {
        return seen.tokens > 0 && seen.sha256 == Text(shard, "sha256");
      };
      if (std::ranges::any_of(artifact.seen, same))
        return Wrong("scores a shard that the artifact was trained or calibrated on");
    }
    return {};
  }

  Status CheckTokenizerModel() {
    if (!evidence_.tokenizer) return {};
    const AuditEvidence::Model& model = *evidence_.tokenizer;
    if (model.tokenizer.sha256 != header_.tokenizer_sha256) {
      return Wrong(fmt::format("the run used another tokenizer than {} ({} instead of {})",
                               model.path, header_.tokenizer_sha256, model.tokenizer.sha256));
    }
    if (evidence_.artifact)
      GOLF_TRY(CheckTokenizer(evidence_.artifact->tokenizer, model.tokenizer, model.path));
    report_.tokenizer_checked = true;
    return {};
  }

  Status CheckShards(const Json& shards) {
    if (evidence_.shard_paths.empty()) return {};
    const size_t given = evidence_.shard_paths.size();
    // Shards behind a limit are not read.
    if (header_.limit ? given < shards.size() : given != shards.size())
      return Wrong(fmt::format("the run used {} shards, not {}", shards.size(), given));
    if (header_.limit == header_.shard_tokens && given == shards.size())
      return Wrong("limit_tokens leaves out nothing of these shards");
    std::vector<uint16_t> tokens;
    for (size_t i = 0; i < shards.size(); ++i) {
      const std::string& path = evidence_.shard_paths[i];
      GOLF_ASSIGN(const TokenShard shard, TokenShard::Open(path));
      if (Text(shards[i], "sha256") != ToHex(Sha256::OfMapped(shard.file())))
        return Wrong(fmt::format("shard {} is another file than {}", i, path));
      if (Whole(shards[i], "tokens") != shard.tokens().size())
        return Wrong(fmt::format("shard {} has other tokens than {}", i, path));
      tokens.insert(tokens.end(), shard.tokens().begin(), shard.tokens().end());
    }
    const TokenizerInfo* counts = evidence_.tokenizer  ? &evidence_.tokenizer->tokenizer
                                  : evidence_.artifact ? &evidence_.artifact->tokenizer
                                                       : nullptr;
    if (counts == nullptr) return {};
    recount_.emplace(counts->byte_table, std::move(tokens));
    report_.bytes_recounted = true;
    return {};
  }

  Status Score(const Json& record) {
    if (!HasFields(record,
                   {"type", "range", "weights", "starts", "nll_nats", "bytes", "count", "prev"})) {
      return Wrong("the score record has not its fields, in their order");
    }
    const std::optional<TargetRange> range = RangeOf(record);
    const auto bytes = Whole(record, "bytes"), count = Whole(record, "count");
    const double nll = Number(record, "nll_nats");
    if (!range || !bytes || !count) return Wrong("the score record is incomplete");
    if (range->end > report_.targets) return Wrong("scores targets behind the end of the stream");
    if (range->begin > scored_)
      return Wrong(fmt::format("targets {} to {} are never scored", scored_, range->begin));
    if (range->begin < scored_) {
      if (report_.one_pass() || expected_.begin != range->begin)
        return Wrong(fmt::format("scores targets from {} on a second time", range->begin));
      report_.repeated += std::min(scored_, range->end) - range->begin;
    }
    if (*count != range->end - range->begin)
      return Wrong("the count is not the length of the range");
    if (expected_.kind != ExpectedRecord::Kind::kScore || expected_.begin != range->begin ||
        expected_.end != range->end || !StartsAre(record, expected_)) {
      return Unexpected();
    }
    if (!IsAmount(nll)) return Wrong("the NLL sum is not a number of 0 or more");
    if (recount_ && recount_->Bytes(*range) != *bytes) {
      return Wrong(fmt::format("counts {} bytes where the text has {}", *bytes,
                               recount_->Bytes(*range).value_or(0)));
    }
    scored_ = std::max(scored_, range->end);
    report_.nll_nats += nll;
    if (__builtin_add_overflow(report_.bytes, *bytes, &report_.bytes))
      return Wrong("counts more bytes than there can be");
    report_.count += *count;
    ++report_.score_records;
    if (report_.train_records == 0)
      report_.before_training.push_back(
          {line_ - 1, expected_.first_window, expected_.windows, nll});
    trained_last_ = false;
    expected_ = schedule_->Next();
    return {};
  }

  Status Train(const Json& record) {
    if (!HasFields(record, {"type", "range", "weights", "updates", "lr", "first_loss_nats",
                            "last_loss_nats", "weights_xxh3", "prev"})) {
      return Wrong("the train record has not its fields, in their order");
    }
    const std::optional<TargetRange> range = RangeOf(record);
    const auto updates = Whole(record, "updates");
    const double lr = Number(record, "lr");
    if (!range || !updates || !IsAmount(lr)) return Wrong("the train record is incomplete");
    if (!header_.settings.training)
      return Wrong("trains in a run that was announced without test-time training");
    if (range->end > scored_)
      return Wrong(fmt::format("trains on targets from {} on before they are scored", scored_));
    if (expected_.kind == ExpectedRecord::Kind::kEnd)
      return Wrong("there was training after the last score");
    if (expected_.kind != ExpectedRecord::Kind::kTrain || expected_.begin != range->begin ||
        expected_.end != range->end || expected_.updates != *updates || !Near(expected_.lr, lr)) {
      return Unexpected();
    }
    if (!IsAmount(Number(record, "first_loss_nats")) || !IsAmount(Number(record, "last_loss_nats")))
      return Wrong("a loss is not a number of 0 or more");
    if (!IsHex(Text(record, "weights_xxh3"), 16)) return Wrong("weights_xxh3 is not 16 digits");
    weights_ = report_.head_sha256;
    report_.updates += *updates;
    ++report_.train_records;
    trained_last_ = true;
    expected_ = schedule_->Next();
    return {};
  }

  Status End(const Json& record) {
    if (!HasFields(record, {"type", "weights", "nll_nats", "bytes", "count", "loss_nats",
                            "bits_per_byte", "prev"})) {
      return Wrong("the end record has not its fields, in their order");
    }
    if (scored_ < schedule_->reached()) {
      return Wrong(fmt::format("targets {} to {} are never scored", scored_, schedule_->reached()));
    }
    if (trained_last_) return Wrong("there was training after the last score");
    if (expected_.kind != ExpectedRecord::Kind::kEnd) return Unexpected();
    if (report_.bytes == 0) return Wrong("the text has no bytes, so there are no bits per byte");
    report_.left_out = report_.targets - scored_;
    report_.loss_nats = report_.nll_nats / static_cast<double>(report_.count);
    report_.bits_per_byte = report_.nll_nats / kLn2 / static_cast<double>(report_.bytes);
    if (!std::isfinite(report_.bits_per_byte)) return Wrong("the sums are not finite");
    if (Number(record, "nll_nats") != report_.nll_nats || Whole(record, "bytes") != report_.bytes ||
        Whole(record, "count") != report_.count ||
        Number(record, "loss_nats") != report_.loss_nats ||
        Number(record, "bits_per_byte") != report_.bits_per_byte) {
      return Wrong("the totals are not those of the score records");
    }
    ended_ = true;
    return {};
  }

  // The record is not the one that the settings call for.
  Status Unexpected() const {
    const std::string range = fmt::format("[{},{}]", expected_.begin, expected_.end);
    switch (expected_.kind) {
      case ExpectedRecord::Kind::kScore:
        return Wrong(
            fmt::format("the header's settings call for the scores of {} by the windows "
                        "from {} to {} here",
                        range, expected_.first_start, expected_.last_start));
      case ExpectedRecord::Kind::kTrain:
        return Wrong(
            fmt::format("the header's settings call for training on {} here, in {} "
                        "updates with a learning rate of {}",
                        range, expected_.updates, expected_.lr));
      case ExpectedRecord::Kind::kEnd:
        break;
    }
    return Wrong("the header's settings call for the end of the log here");
  }

  // The rates of two machines may differ in the last digit.
  static bool Near(double a, double b) {
    return std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b));
  }

  std::string path_;
  const AuditEvidence& evidence_;
  AuditReport report_;
  AuditHeader header_;
  Json record_;  // the header
  std::optional<AuditSchedule> schedule_;
  ExpectedRecord expected_;  // that has to come next
  std::optional<ByteRecount> recount_;
  std::string weights_;  // version that the next record has to name
  uint64_t scored_ = 0;  // targets below are scored
  size_t line_ = 0;
  bool trained_last_ = false, ended_ = false;
};

}  // namespace

Result<AuditReport> VerifyAuditText(std::string_view log, const std::string& name,
                                    const AuditEvidence& evidence) {
  return Verifier(name, evidence).Run(log);
}

Result<std::string> ReadAuditLog(const std::string& path) {
  GOLF_ASSIGN(const std::vector<uint8_t> bytes, ReadFile(path, kMaxLogBytes));
  return std::string(bytes.begin(), bytes.end());
}

Result<AuditReport> VerifyAudit(const std::string& log_path, const AuditEvidence& evidence) {
  GOLF_ASSIGN(const std::string log, ReadAuditLog(log_path));
  return VerifyAuditText(log, log_path, evidence);
}

}  // namespace golf
