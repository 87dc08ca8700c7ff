#include "runtime/verify_receipt.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "artifact/file.h"
#include "runtime/audit_fields.h"

namespace golf {
namespace {

using namespace audit;

constexpr double kLn2 = 0.693147180559945309417;

// Whether an object of the text has a field twice, of which a reader would see one.
bool RepeatsAField(std::string_view text) {
  std::vector<std::set<std::string>> open;  // fields of the objects that are being read
  bool repeats = false;
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second)
      repeats = true;
    return true;
  };
  const Json read = Json::parse(text.begin(), text.end(), watch, false);
  return repeats || read.is_discarded();
}

Result<Json> ReadReceipt(const std::string& path) {
  constexpr JsonLimits kLimits{.max_bytes = size_t{1} << 24, .max_depth = 5};
  GOLF_ASSIGN(const std::vector<uint8_t> bytes, ReadFile(path, kLimits.max_bytes));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto bad = [&](const std::string& why) {
    return Status(golf::Code::kBadData, path + ": not a receipt: " + why);
  };
  Result<Json> receipt = ParseJson<Json>(text, kLimits);
  if (!receipt.ok()) return bad(receipt.status().message());
  if (!receipt->is_object()) return bad("no JSON object");
  if (RepeatsAField(text)) return bad("a field stands there twice");
  return receipt;
}

// The receipt adds target by target, the log record by record.
bool Near(double a, double b) {
  return std::abs(a - b) <= 1e-10 * std::max(std::abs(a), std::abs(b));
}

// Whether seconds of a limit are said as they have to be: both null, or whether `seconds` exceeds it.
bool IsLimit(const Json& object, double seconds) {
  if (IsNull(object, "max_seconds")) return IsNull(object, "over_time");
  const double limit = Number(object, "max_seconds");
  return IsAmount(limit) && IsFlag(object, "over_time") &&
         *Field(object, "over_time") == (seconds > limit);
}

class Receipt {
 public:
  Receipt(const AuditEvidence& evidence, Json receipt, const Json& header,
          const AuditReport& report)
      : evidence_(evidence), receipt_(std::move(receipt)), header_(header), report_(report) {}

  Status Verify() const {
    if (Text(receipt_, "format") != "golf-receipt" || Whole(receipt_, "version") != 2)
      return Fails("format or version", "is not that of a receipt of version 2");
    GOLF_TRY(Names());
    GOLF_TRY(Facts());
    GOLF_TRY(Totals());
    GOLF_TRY(Size());
    GOLF_TRY(Train());
    GOLF_TRY(Eval());
    return Machine();
  }

 private:
  Status Fails(std::string_view field, std::string_view how) const {
    return {Code::kBadData, fmt::format("{}: {} {}", evidence_.receipt_path, field, how)};
  }
  Status Differs(std::string_view field) const { return Fails(field, "is not that of the log"); }
  Status Contradicts(std::string_view field) const {
    return Fails(field, "is missing, out of range or contradicts other fields");
  }
  const Json& At(std::string_view name) const { return *Field(receipt_, name); }

  // The fields of the header, and those behind them.
  Status Names() const {
    std::vector<std::string> names = {"format", "version"};
    for (const auto& [name, value] : header_.items()) {
      if (name != "type" && name != "format" && name != "version" && name != "prev")
        names.push_back(name);
    }
    names.insert(names.end(),
                 {"size", "order", "scored", "bytes_scored", "nll_sum_nats", "val_loss", "val_bpb",
                  "adaptation", "audit_head_sha256", "train", "eval", "hardware", "versions"});
    for (const std::string& name : names) {
      if (Field(receipt_, name) == nullptr) return Contradicts(name);
    }
    std::vector<std::string> found;
    for (const auto& item : receipt_.items()) found.push_back(item.key());
    return found == names ? Status() : Fails("one of the fields", "is unknown or out of order");
  }

  Status Facts() const {
    for (const auto& [name, value] : header_.items()) {
      if (name == "type" || name == "format" || name == "version" || name == "prev") continue;
      if (At(name).dump() != value.dump()) return Differs(name);
    }
    return Text(receipt_, "order") == "stream" ? Status() : Contradicts("order");
  }

  Status Totals() const {
    if (Text(receipt_, "audit_head_sha256") != report_.head_sha256)
      return Differs("audit_head_sha256");
    if (Whole(receipt_, "scored") != report_.count) return Differs("scored");
    if (Whole(receipt_, "bytes_scored") != report_.bytes) return Differs("bytes_scored");
    const double nll = Number(receipt_, "nll_sum_nats");
    if (!Near(nll, report_.nll_nats)) return Differs("nll_sum_nats");
    if (!Near(Number(receipt_, "val_loss"), report_.loss_nats)) return Differs("val_loss");
    if (!Near(Number(receipt_, "val_bpb"), report_.bits_per_byte)) return Differs("val_bpb");
    if (Number(receipt_, "val_loss") != nll / static_cast<double>(report_.count))
      return Contradicts("val_loss");
    if (Number(receipt_, "val_bpb") != nll / kLn2 / static_cast<double>(report_.bytes))
      return Contradicts("val_bpb");
    return Adaptation();
  }

  // What test-time training did.
  Status Adaptation() const {
    const Json& counts = At("adaptation");
    if (IsNull(header_, "ttt") || counts.is_null())
      return IsNull(header_, "ttt") && counts.is_null() ? Status() : Differs("adaptation");
    if (!HasFields(counts, {"chunks", "trained_chunks", "updates"}))
      return Contradicts("adaptation");
    if (Whole(counts, "chunks") != report_.chunks) return Differs("chunks");
    if (Whole(counts, "trained_chunks") != report_.train_records) return Differs("trained_chunks");
    return Whole(counts, "updates") == report_.updates ? Status() : Differs("updates");
  }

  Status Size() const {
    const Json& size = At("size");
    if (!HasFields(size, {"code_bytes", "total_bytes", "max_bytes", "code"}))
      return Contradicts("size");
    const Json& code = *Field(size, "code");
    if (!code.is_array()) return Contradicts("code");
    uint64_t bytes = 0, total = 0;
    for (const Json& file : code) {
      const auto more = Whole(file, "bytes");
      if (!HasFields(file, {"name", "sha256", "bytes"}) || Text(file, "name").empty() ||
          !IsDigest(Text(file, "sha256")) || !more ||
          __builtin_add_overflow(bytes, *more, &bytes)) {
        return Contradicts("code");
      }
    }
    if (Whole(size, "code_bytes") != bytes) return Contradicts("code_bytes");
    if (__builtin_add_overflow(bytes, *Whole(header_, "artifact_bytes"), &total) ||
        Whole(size, "total_bytes") != total) {
      return Contradicts("total_bytes");
    }
    // More than the limit is refused before anything is scored.
    const auto limit = Whole(size, "max_bytes");
    if (!IsNull(size, "max_bytes") && !(limit && *limit >= total)) return Contradicts("max_bytes");
    return Code(code);
  }

  Status Code(const Json& code) const {
    if (!evidence_.code) return {};
    const std::vector<CodeFile>& files = *evidence_.code;
    if (code.size() != files.size())
      return Fails("code", fmt::format("has {} files, not {}", code.size(), files.size()));
    for (size_t i = 0; i < files.size(); ++i) {
      if (Text(code[i], "sha256") != files[i].sha256 || Whole(code[i], "bytes") != files[i].bytes)
        return Fails("code", fmt::format("has another file than {}", files[i].path));
    }
    return {};
  }

  Status Train() const {
    const Json& train = At("train");
    if (train.is_null()) {
      if (!evidence_.packing && !evidence_.checkpoint) return {};
      return Fails("train", "is null: the run was not given --packing");
    }
    if (!HasFields(train, {"input_sha256", "steps_seconds", "calibration_seconds", "max_seconds",
                           "over_time", "packing_seconds"})) {
      return Contradicts("train");
    }
    const bool counted = !IsNull(train, "steps_seconds");
    const double steps = counted ? Number(train, "steps_seconds") : 0;
    const double calibration = Number(train, "calibration_seconds");
    if (!IsDigest(Text(train, "input_sha256"))) return Contradicts("input_sha256");
    if (!IsAmount(steps)) return Contradicts("steps_seconds");
    if (!IsAmount(calibration)) return Contradicts("calibration_seconds");
    if (!IsAmount(Number(train, "packing_seconds"))) return Contradicts("packing_seconds");
    if (!IsLimit(train, steps + calibration)) return Contradicts("train.max_seconds or over_time");
    if (!counted && !IsNull(train, "max_seconds")) return Contradicts("train.max_seconds");
    GOLF_TRY(Packing(train));
    return Checkpoint(train);
  }

  Status Packing(const Json& train) const {
    if (!evidence_.packing) return {};
    const PackingFacts& packing = *evidence_.packing;
    const auto fails = [&](const char* field) {
      return Fails(field, "is not that of " + packing.path);
    };
    if (packing.artifact_sha256 != report_.artifact_sha256)
      return {golf::Code::kBadData, packing.path + ": tells of another artifact"};
    if (Text(train, "input_sha256") != packing.input_sha256) return fails("input_sha256");
    if (packing.steps_seconds ? Number(train, "steps_seconds") != *packing.steps_seconds
                              : !IsNull(train, "steps_seconds")) {
      return fails("steps_seconds");
    }
    if (Number(train, "calibration_seconds") != packing.calibration_seconds)
      return fails("calibration_seconds");
    if (Number(train, "packing_seconds") != packing.packing_seconds)
      return fails("packing_seconds");
    return {};
  }

  Status Checkpoint(const Json& train) const {
    if (!evidence_.checkpoint) return {};
    const AuditEvidence::CheckpointFile& checkpoint = *evidence_.checkpoint;
    if (Text(train, "input_sha256") != checkpoint.sha256)
      return Fails("input_sha256", "is not that of " + checkpoint.path);
    const bool same = checkpoint.steps_seconds
                          ? Number(train, "steps_seconds") == *checkpoint.steps_seconds
                          : IsNull(train, "steps_seconds");
    return same ? Status() : Fails("steps_seconds", "is not that of " + checkpoint.path);
  }

  Status Eval() const {
    const Json& eval = At("eval");
    if (!HasFields(eval, {"startup_seconds", "scoring_seconds", "max_seconds", "over_time",
                          "tokens_per_second", "peak_memory_bytes"})) {
      return Contradicts("eval");
    }
    const double startup = Number(eval, "startup_seconds"),
                 scoring = Number(eval, "scoring_seconds");
    if (!IsAmount(startup)) return Contradicts("startup_seconds");
    if (!IsAmount(scoring)) return Contradicts("scoring_seconds");
    if (!IsLimit(eval, startup + scoring)) return Contradicts("eval.max_seconds or over_time");
    const double rate = scoring > 0 ? static_cast<double>(report_.count) / scoring : 0;
    if (Number(eval, "tokens_per_second") != rate) return Contradicts("tokens_per_second");
    const auto memory = Whole(eval, "peak_memory_bytes");
    return memory && *memory > 0 ? Status() : Contradicts("peak_memory_bytes");
  }

  Status Machine() const {
    const Json &hardware = At("hardware"), &versions = At("versions");
    if (!HasFields(hardware, {"device", "name", "processes", "threads"}))
      return Contradicts("hardware");
    if (Text(hardware, "device") != "cpu") return Contradicts("device");
    if (Text(hardware, "name").empty()) return Contradicts("hardware.name");
    if (Whole(hardware, "processes") != Whole(header_, "processes"))
      return Differs("hardware.processes");
    if (Whole(hardware, "threads").value_or(0) < 1) return Contradicts("threads");
    if (!HasFields(versions, {"golf", "compiler", "kernels", "program_sha256"}))
      return Contradicts("versions");
    if (Text(versions, "golf") != Text(header_, "golf")) return Differs("versions.golf");
    if (Text(versions, "compiler").empty()) return Contradicts("compiler");
    if (Text(versions, "kernels") != Text(header_, "kernels")) return Differs("versions.kernels");
    return IsDigest(Text(versions, "program_sha256")) ? Status() : Contradicts("program_sha256");
  }

  const AuditEvidence& evidence_;
  const Json receipt_;
  const Json& header_;
  const AuditReport& report_;
};

}  // namespace

Status VerifyReceipt(const AuditEvidence& evidence, const Json& header, const AuditReport& report) {
  GOLF_ASSIGN(Json receipt, ReadReceipt(evidence.receipt_path));
  return Receipt(evidence, std::move(receipt), header, report).Verify();
}

}  // namespace golf
