// Forms: 0 the lines of a log, whose chain and weight versions are mended; 1 records over at most 32 targets, which are
// judged a second time by marking target after target.
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
  GOLF_CHECK(report.count - report.repeated == report.targets);
  GOLF_CHECK(report.protocol != "once" || report.repeated == 0);
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

void Records(InputReader& in) {
  const uint32_t targets = in.Below(33), stride = in.Below(9);
  const bool once = in.Below(2) == 0, adapts = in.Below(2) == 1;
  Forger forger;
  forger.Add({{"type", "header"},
              {"format", "golf-audit"},
              {"version", 1},
              {"artifact_sha256", std::string(64, 'a')},
              {"shards", Json::array()},
              {"target_tokens", targets},
              {"stride", stride},
              {"protocol", once ? "once" : "reference"},
              {"ttt", adapts ? Json::object() : Json()}});
  std::vector<uint32_t> scores(targets);
  bool legal = true, trained_last = false;
  uint64_t bytes = 0, count = 0;
  double nll = 0;
  for (uint32_t i = in.Below(16); i > 0; --i) {
    const bool train = in.Below(4) == 3;
    const uint32_t begin = in.Below(34), end = in.Below(34);
    const double x = in.Byte() / 4.0;
    legal = legal && begin < end && end <= targets;
    for (uint32_t t = begin; t < end && t < targets; ++t) {
      if (train) {
        legal = legal && scores[t] > 0;
      } else {
        for (uint32_t before = 0; before < t; ++before) legal = legal && scores[before] > 0;
        const bool tail = !once && t + stride >= targets;
        legal = legal && (scores[t] == 0 || tail);
        ++scores[t];
      }
    }
    if (train) {
      legal = legal && adapts;
      forger.Add(
          {{"type", "train"}, {"range", {begin, end}}, {"weights", ""}, {"updates", 1}, {"lr", x}});
    } else {
      const uint32_t length = end - begin;
      forger.Add({{"type", "score"},
                  {"range", {begin, end}},
                  {"weights", ""},
                  {"nll_nats", x},
                  {"bytes", 2},
                  {"count", length}});
      bytes += 2;
      count += length;
      nll += x;
    }
    trained_last = train;
  }
  for (const uint32_t n : scores) legal = legal && n > 0;
  legal = legal && !trained_last;
  forger.Add({{"type", "end"},
              {"weights", ""},
              {"nll_nats", nll},
              {"bytes", bytes},
              {"count", count},
              {"loss_nats", count > 0 ? nll / static_cast<double>(count) : 0.0},
              {"bits_per_byte",
               bytes > 0 ? nll / 0.693147180559945309417 / static_cast<double>(bytes) : 0.0}});
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
