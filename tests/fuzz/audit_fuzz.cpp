// Forms: 0 the lines of a log, whose chain and weight versions are mended; 1 the records of a run over few targets, right but
// for one field at most.
#include <nlohmann/json.hpp>

#include "artifact/file.h"
#include "artifact/sha256.h"
#include "kernels/base/check.h"
#include "runtime/verify_audit.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"

namespace golf::test {
namespace {

using Json = nlohmann::ordered_json;

// Writes records as a forger would: each names the line before it and the weights that it should.
class Forger {
 public:
  void Add(Json record) {
    if (first_ && record["artifact_sha256"].is_string()) weights_ = record["artifact_sha256"];
    if (!first_) record["weights"] = weights_;
    first_ = false;
    record.erase("prev");
    record["prev"] = head_;
    const std::string line = record.dump(-1, ' ', false, Json::error_handler_t::replace);
    head_ = ToHex(Sha256::Of(AsBytes(line)));
    if (record["type"] == "train") weights_ = head_;
    log_ += line + '\n';
  }
  void AddLine(const std::string& line) { log_ += line + '\n'; }
  const std::string& log() const { return log_; }

 private:
  std::string log_, head_ = std::string(64, '0'), weights_;
  bool first_ = true;
};

void CheckAccepted(const AuditReport& report) {
  GOLF_CHECK(report.count - report.repeated == report.targets - report.left_out);
  GOLF_CHECK(report.protocol != "once" || report.repeated + report.left_out == 0);
  GOLF_CHECK(report.used_tokens == report.targets + 1);
  GOLF_CHECK(report.used_tokens <= report.shard_tokens);
  GOLF_CHECK(!(report.nll_nats < 0) && report.score_records <= report.count);
}

void Lines(InputReader& in) {
  Forger forger;
  std::string line;
  for (const char c : in.RestAsText() + '\n') {
    if (c != '\n') {
      line += c;
      continue;
    }
    Json record = Json::parse(line, nullptr, false);
    if (record.is_object()) {
      forger.Add(std::move(record));
    } else if (!line.empty()) {
      forger.AddLine(line);
    }
    line.clear();
  }
  const auto report = VerifyAuditText(forger.log(), "log");
  if (report.ok()) CheckAccepted(*report);
}

struct Settings {
  uint32_t targets, window, stride, chunk, epochs, batch;
  bool once, adapts;
};

Settings ReadSettings(InputReader& in) {
  Settings s{};
  s.window = 1 + in.Below(12);
  s.stride = 1 + in.Below(s.window);
  s.once = in.Below(2) == 0;
  s.adapts = in.Below(2) == 1;
  s.targets = s.once ? 1 + in.Below(64) : s.window * (1 + in.Below(6));
  s.chunk = s.window + in.Below(20);
  s.epochs = 1 + in.Below(3);
  s.batch = 1 + in.Below(3);
  return s;
}

Json HeaderOf(const Settings& s) {
  Json header = {{"type", "header"},
                 {"format", "golf-audit"},
                 {"version", 2},
                 {"artifact_name", "a.ptz"},
                 {"artifact_bytes", 100},
                 {"artifact_sha256", std::string(64, 'a')},
                 {"tokenizer_sha256", std::string(64, 'b')},
                 {"tokenizer_checked", false},
                 {"shards", Json::array()},
                 {"limit_tokens", nullptr},
                 {"val_tokens", s.targets + 1},
                 {"target_tokens", s.targets},
                 {"window", s.window},
                 {"stride", s.stride},
                 {"protocol", s.once ? "once" : "reference"},
                 {"precision", "fp32"},
                 {"kernels", "avx2"},
                 {"processes", 1},
                 {"golf", "0"},
                 {"ttt", nullptr}};
  header["shards"].push_back(
      {{"name", "v.bin"}, {"sha256", std::string(64, 'c')}, {"tokens", s.targets + 1}});
  if (s.adapts) {
    header["ttt"] = {{"preset", "pr668"},
                     {"optimizer", "sgd"},
                     {"lr", 0.5},
                     {"schedule", "constant"},
                     {"momentum", 0.5},
                     {"weight_decay", 0.0},
                     {"clip_norm", 1.0},
                     {"epochs", s.epochs},
                     {"chunk_tokens", s.chunk},
                     {"batch_sequences", s.batch},
                     {"micro_batch", 1},
                     {"trainable", Json::array()},
                     {"bf16_weights", Json::array()},
                     {"hidden_offset", false},
                     {"fake_quant", nullptr}};
  }
  return header;
}

// What the scorer would write, found window after window.
std::vector<Json> RecordsOf(const Settings& s, InputReader& in) {
  std::vector<Json> records = {HeaderOf(s)};
  uint64_t bytes = 0, count = 0, scored = 0, last = 0;
  double nll = 0;
  Json open;  // score record that may go on
  const auto close = [&] {
    if (open.is_null()) return;
    const double x = in.Byte() / 4.0;
    const uint64_t begin = open["range"][0], end = open["range"][1], length = end - begin;
    records.push_back({{"type", "score"},
                       {"range", open["range"]},
                       {"weights", ""},
                       {"starts", {open["start"], last}},
                       {"nll_nats", x},
                       {"bytes", 2},
                       {"count", length}});
    nll += x, bytes += 2, count += length;
    open = nullptr;
  };
  uint32_t trained = 0;  // chunks
  for (uint32_t start = 0; start < s.targets; start += s.stride) {
    const uint32_t covered = std::min(s.window, s.targets - start);
    uint32_t begin = start;
    if (start > 0) begin = start + (s.once ? s.window : covered) - s.stride;
    if (start > 0 && (s.once ? begin >= s.targets : covered < s.stride)) break;
    for (; s.adapts && begin / s.chunk > trained; ++trained) {
      close();
      const uint32_t sequences = s.chunk / s.window, first = trained * s.chunk;
      records.push_back({{"type", "train"},
                         {"range", {first, first + sequences * s.window}},
                         {"weights", ""},
                         {"updates", s.epochs * ((sequences + s.batch - 1) / s.batch)},
                         {"lr", 0.5},
                         {"first_loss_nats", 2.0},
                         {"last_loss_nats", 1.0},
                         {"weights_xxh3", "0123456789abcdef"}});
    }
    if (begin != scored) close();
    if (open.is_null()) open = {{"range", {begin, 0}}, {"start", start}};
    scored = start + covered;
    open["range"][1] = scored;
    last = start;
    if (start == 0) close();
  }
  close();
  records.push_back(
      {{"type", "end"},
       {"weights", ""},
       {"nll_nats", nll},
       {"bytes", bytes},
       {"count", count},
       {"loss_nats", nll / static_cast<double>(count)},
       {"bits_per_byte", nll / 0.693147180559945309417 / static_cast<double>(bytes)}});
  return records;
}

void Records(InputReader& in) {
  const Settings settings = ReadSettings(in);
  std::vector<Json> records = RecordsOf(settings, in);
  bool legal = true;
  if (in.Below(2) == 1) {  // another value of one field that has to be as it is
    Json& record = records[in.Below(static_cast<uint32_t>(records.size()))];
    const char* fields[] = {"range", "count", "updates", "lr", "starts", "val_tokens", "type"};
    const char* field = fields[in.Below(7)];
    if (record.contains(field)) {
      Json other = record[field];
      if (other.is_array()) {
        Json& bound = other[in.Below(2)];
        bound = bound.get<uint32_t>() + 1 + in.Below(9);
      } else if (other.is_number()) {
        other = other.get<double>() + 1 + in.Below(9);
        if (record[field].is_number_unsigned()) other = static_cast<uint64_t>(other.get<double>());
      } else {
        other = other.get<std::string>() + "x";
      }
      record[field] = other;
      legal = false;
    }
  }
  Forger forger;
  for (Json& record : records) forger.Add(std::move(record));
  const auto report = VerifyAuditText(forger.log(), "log");
  if (report.ok()) CheckAccepted(*report);
  GOLF_CHECK(report.ok() == legal);
}

}  // namespace

void FuzzAudit(std::span<const uint8_t> input) {
  InputReader in(input);
  if (in.Below(2) == 0) return Lines(in);
  Records(in);
}

}  // namespace golf::test
