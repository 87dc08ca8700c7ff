// A forger who changes one field of a log or receipt to another plausible value, and mends everything that follows from it:
// the totals, the hash chain, the versions of weights, and the receipt's copy of it. With all evidence at hand each change is
// refused, but for the fields that are listed here: no file shows those. A rerun does, for all that change a score
// (golf_run_test.cpp).
#include <gmock/gmock.h>

#include <set>

#include "tests/runtime/audited_run.h"

namespace golf {
namespace {

using Json = nlohmann::ordered_json;
using Pointer = Json::json_pointer;

// Settings whose effect is in the scores alone, and names. A log is consistent with any of them.
const std::set<std::string> kOnlyARerunTells = {
    "header/artifact_name",     "header/shards/0/name",
    "header/tokenizer_checked",  // what the run did; the verifier does it again
    "header/precision",         "header/kernels",
    "header/processes",         "header/golf",
    "header/ttt/preset",        "header/ttt/trainable",
    "header/ttt/momentum",      "header/ttt/weight_decay",
    "header/ttt/clip_norm",     "header/ttt/micro_batch",
    "header/ttt/trainable/0",   "header/ttt/hidden_offset",
    "score/nll_nats",           "train/first_loss_nats",
    "train/last_loss_nats",     "train/weights_xxh3",
};

// What golf-run measured, or was told, on the spot.
const std::set<std::string> kOnlyTheReceiptTells = {
    "/size/max_bytes",       "/size/code/0/name",  "/size/code/1/name",        "/train/max_seconds",
    "/eval/startup_seconds", "/eval/max_seconds",  "/eval/peak_memory_bytes",  "/hardware/name",
    "/hardware/threads",     "/versions/compiler", "/versions/program_sha256",
};

std::vector<Json> OtherValues(const Json& value) {
  std::vector<Json> others;
  const auto add = [&](const Json& other) {
    if (other != value || other.type() != value.type()) others.push_back(other);
  };
  switch (value.type()) {
    case Json::value_t::number_unsigned: {
      const auto n = value.get<uint64_t>();
      for (const uint64_t other : {n + 1, n - 1, 2 * n, n / 2, uint64_t{0}, uint64_t{1}})
        add(other);
      break;
    }
    case Json::value_t::number_float: {
      const auto x = value.get<double>();
      for (const double other : {x * 0.5, x * 2, x + 1e-3, x * (1 + 1e-6), 0.0, -x}) add(other);
      break;
    }
    case Json::value_t::string: {
      auto text = value.get<std::string>();
      for (const char* name :
           {"once", "reference", "reference-all", "fp32", "bf16", "constant", "cosine",
            "warmup-cosine", "sgd", "adamw", "stream", "pr598", "avx512"})
        add(name);
      text.front() = text.front() == 'a' ? 'b' : 'a';
      add(text);
      add("");
      break;
    }
    case Json::value_t::boolean:
      add(!value.get<bool>());
      break;
    case Json::value_t::null:
      add(1), add(1.5), add(641), add("x"), add(false);
      break;
    default:
      break;
  }
  add(Json(nullptr));
  return others;
}

// All places in a value: its own, and those of its fields and elements.
void Places(const Json& value, const Pointer& at, std::vector<Pointer>& places) {
  places.push_back(at);
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) Places(inner, at / key, places);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) Places(value[i], at / i, places);
  }
}

// The record or receipt with another value, another number of elements, or other fields at one place.
std::vector<Json> Forgeries(const Json& whole, const Pointer& at) {
  std::vector<Json> forgeries;
  const auto with = [&](const auto& edit) {
    Json forged = whole;
    edit(forged[at]);
    if (forged != whole || DumpJson(forged) != DumpJson(whole)) forgeries.push_back(forged);
  };
  if (!at.empty()) {
    for (const Json& other : OtherValues(whole[at])) with([&](Json& place) { place = other; });
  }
  if (whole[at].is_object()) {
    with([](Json& place) { place["unknown"] = 1; });
    with([](Json& place) { place.erase(place.begin()); });
    with([](Json& place) {  // the first field comes last
      const std::string key = place.begin().key();
      const Json value = place.front();
      place.erase(key);
      place[key] = value;
    });
  }
  if (whole[at].is_array()) {
    with([](Json& place) { place.push_back(place.empty() ? Json(1) : place.back()); });
    if (!whole[at].empty()) with([](Json& place) { place.erase(place.size() - 1); });
  }
  return forgeries;
}

class Forgery : public test::AuditedRun {
 protected:
  void SetUp() override { stride_ = 24; }  // does not divide the text: all protocols differ

  // A run with all that a receipt can tell of.
  void RunWithEverything(const std::string& protocol, bool train, uint64_t limit = 0) {
    Run(protocol, train, limit);
    result_.startup_seconds = 0.25;
    result_.scoring_seconds = 1.5;
    result_.peak_memory_bytes = 123456;
    limits_.code = *MeasureCode({folder_.Write("a.py", "12345"), folder_.Write("b.py", "1")});
    limits_.max_bytes = 1000;
    limits_.max_eval_seconds = 600;
    limits_.max_train_seconds = 60;
    limits_.packing = {"pack.json", facts_.artifact_sha256, std::string(64, 'c'), 30.5, 2.25, 1.5};
    evidence_ = Files();
    evidence_.receipt_path = folder_ / "receipt";
    evidence_.code = limits_.code;
    evidence_.packing = limits_.packing;
    evidence_.checkpoint = {"x.ckpt", std::string(64, 'c'), 30.5};
    receipt_ = Json::parse(DumpJson(
        Receipt(facts_, limits_, result_, {"some processor", "gcc", std::string(64, 'd'), 2})));
    ASSERT_EQ(VerifyWith(receipt_), "");
  }

  std::string VerifyWith(const Json& receipt) { return VerifyWith(lines_, receipt); }
  std::string VerifyWith(const Lines& lines, const Json& receipt) {
    std::ofstream(evidence_.receipt_path) << DumpJson(receipt, 2) << "\n";
    return Verify(lines, evidence_);
  }

  // The forged record in its log, with everything mended that follows from it.
  std::string VerifyForged(size_t at, const Json& record) {
    Lines lines = lines_;
    lines[at] = DumpJson(record);
    if (at + 1 < lines.size()) MendTotals(lines);
    const Json weights = record.value("weights", Json());
    const bool other_weights = Json::parse(lines_[at]).value("weights", Json()) != weights;
    lines = Mend(lines, at, [&](Json& r) {
      if (other_weights) r["weights"] = weights;
    });
    Json receipt = receipt_;
    const Json header = Json::parse(lines[0]);
    Json end = Json::parse(lines.back());
    for (const auto& [key, value] : header.items()) {
      if (receipt.contains(key) && key != "format" && key != "version") receipt[key] = value;
    }
    const auto follow = [&](const char* section, const char* field, const Json& value) {
      receipt[section][field] = value;
    };
    follow("hardware", "processes", header.value("processes", Json()));
    follow("versions", "kernels", header.value("kernels", Json()));
    follow("versions", "golf", header.value("golf", Json()));
    receipt["scored"] = end["count"];
    receipt["bytes_scored"] = end["bytes"];
    receipt["nll_sum_nats"] = end["nll_nats"];
    receipt["val_loss"] = end["loss_nats"];
    receipt["val_bpb"] = end["bits_per_byte"];
    receipt["audit_head_sha256"] = ToHex(Sha256::Of(AsBytes(lines.back())));
    return VerifyWith(lines, receipt);
  }

  static void MendTotals(Lines& lines) {
    ScoreSums sums;
    for (const std::string& line : lines) {
      const Json record = Json::parse(line);
      if (record.value("type", Json()) != "score") continue;
      const auto number = [&](const char* name) {
        const Json field = record.value(name, Json());
        return field.is_number() ? field.get<double>() : 0.0;
      };
      sums.nll_nats += number("nll_nats");
      sums.bytes += static_cast<uint64_t>(number("bytes"));
      sums.targets += static_cast<uint64_t>(number("count"));
    }
    Json end = Json::parse(lines.back());
    end["nll_nats"] = sums.nll_nats;
    end["bytes"] = sums.bytes;
    end["count"] = sums.targets;
    end["loss_nats"] = sums.targets > 0 ? sums.loss_nats() : 0.0;
    end["bits_per_byte"] = sums.bytes > 0 ? sums.bits_per_byte() : 0.0;
    lines.back() = DumpJson(end);
  }

  void ForgeEveryRecord(std::set<std::string>& told_by_nothing) {
    for (size_t i = 0; i < lines_.size(); ++i) {
      if (i > 4 && i + 3 < lines_.size()) continue;  // more of the same
      const Json record = Json::parse(lines_[i]);
      std::vector<Pointer> places;
      Places(record, Pointer(), places);
      for (const Pointer& place : places) {
        if (place == Pointer("/prev")) continue;  // is made anew
        for (const Json& forged : Forgeries(record, place)) {
          if (forged == record) continue;
          const std::string name = record["type"].get<std::string>() + place.to_string();
          if (VerifyForged(i, forged) == "") {
            told_by_nothing.insert(name);
            EXPECT_TRUE(kOnlyARerunTells.contains(name)) << "line " << i << " as\n" << forged;
          }
        }
      }
    }
  }

  void ForgeTheReceipt(std::set<std::string>& told_by_nothing) {
    std::vector<Pointer> places;
    Places(receipt_, Pointer(), places);
    for (const Pointer& place : places) {
      for (const Json& forged : Forgeries(receipt_, place)) {
        if (VerifyWith(forged) == "") {
          told_by_nothing.insert(place.to_string());
          EXPECT_TRUE(kOnlyTheReceiptTells.contains(place.to_string())) << forged;
        }
      }
    }
  }

  Limits limits_;
  AuditEvidence evidence_;
  Json receipt_;
};

TEST_F(Forgery, OfAnyFieldIsRefusedButOfThoseThatOnlyARerunTells) {
  std::set<std::string> records, receipts;
  for (const char* protocol : {"once", "reference"}) {
    for (const bool train : {true, false}) {
      SCOPED_TRACE(std::string(protocol) + (train ? " with training" : ""));
      RunWithEverything(protocol, train);
      ForgeEveryRecord(records);
      ForgeTheReceipt(receipts);
    }
  }
  RunWithEverything("reference-all", false);
  ForgeEveryRecord(records);
  ForgeTheReceipt(receipts);
  RunWithEverything("once", true, 600);
  ForgeEveryRecord(records);
  ForgeTheReceipt(receipts);
  EXPECT_EQ(records, kOnlyARerunTells);
  EXPECT_EQ(receipts, kOnlyTheReceiptTells);
}

TEST_F(Forgery, OfFieldsThatNoFileIsGivenForIsNotSeen) {
  RunWithEverything("once", true);
  evidence_ = AuditEvidence();
  evidence_.receipt_path = folder_ / "receipt";
  Json forged = receipt_;
  forged["train"]["steps_seconds"] = 1.0;
  forged["size"]["code"][0]["sha256"] = std::string(64, 'e');
  EXPECT_EQ(VerifyWith(forged), "");
  forged["size"]["code"][0]["bytes"] = 1;
  EXPECT_THAT(VerifyWith(forged), testing::HasSubstr("code_bytes"));
}

TEST_F(Forgery, AReceiptThatSaysAFieldTwiceIsRefused) {
  RunWithEverything("once", true);
  std::string text = DumpJson(receipt_, 2);
  text.insert(1, "\"val_bpb\": 0.5,");
  std::ofstream(evidence_.receipt_path) << text;
  EXPECT_THAT(Verify(lines_, evidence_), testing::HasSubstr("stands there twice"));
  std::ofstream(evidence_.receipt_path) << "\"text\"";
  EXPECT_THAT(Verify(lines_, evidence_), testing::HasSubstr("not a receipt"));
  std::ofstream(evidence_.receipt_path) << std::string(1 << 20, '[');
  EXPECT_THAT(Verify(lines_, evidence_), testing::HasSubstr("not a receipt"));
}

TEST_F(Forgery, OfSecondsOfTrainingIsSeenBesideTheCheckpoint) {
  RunWithEverything("once", true);
  evidence_.packing->steps_seconds = receipt_["train"]["steps_seconds"] = 10.0;
  EXPECT_THAT(VerifyWith(receipt_), testing::HasSubstr("steps_seconds is not that of x.ckpt"));
  evidence_.packing->artifact_sha256[0] = 'x';
  EXPECT_THAT(VerifyWith(receipt_), testing::HasSubstr("tells of another artifact"));
}

}  // namespace
}  // namespace golf
