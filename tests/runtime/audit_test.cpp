#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "artifact/file.h"
#include "artifact/sha256.h"
#include "artifact/token_shard.h"
#include "kernels/table.h"
#include "runtime/audit_log.h"
#include "runtime/receipt.h"
#include "runtime/recount_bytes.h"
#include "runtime/verify_audit.h"
#include "tests/runtime/fake_executor.h"
#include "tests/runtime/made_up_text.h"
#include "tests/support/temp_folder.h"

namespace golf {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;
using Lines = std::vector<std::string>;

// A run with test-time training on fakes, its log and what can be done to it.
class Audit : public testing::Test {
 protected:
  void SetUp() override { Run("once"); }
  void Run(const std::string& protocol) {
    const TokenStream stream = test::RandomStream(64 * 10 + 1);
    TensorSet weights = test::FakeWeights();
    test::FakeCalls calls;
    const auto factory = test::FakeExecutors(weights, calls);
    RunFacts facts;
    ASSERT_TRUE(WriteTokenShard(shard_, stream.tokens()).ok());
    facts.artifact_sha256 = *Sha256OfFile(artifact_);
    facts.shards = {{shard_, *Sha256OfFile(shard_), stream.tokens().size()}};
    facts.stream_tokens = stream.tokens().size();
    facts.targets = stream.targets();
    facts.rule = {64, 16, protocol == "once" ? Tail::kOnce : Tail::kRepeat};
    facts.protocol = protocol;
    facts.ttt = TttOptions();
    facts.ttt->chunk_tokens = 256;
    facts.ttt->trainable = FreezeFirstBlocks(1);
    const auto windows = *MakeWindows(facts.rule, stream.targets());
    const auto steps = ScoreFirst(windows, stream.targets(), 64, *facts.ttt);
    WindowScorer scorer(factory, {facts.rule, 8, Precision::kFp32});
    TttTrainer trainer = std::move(
        *TttTrainer::Create(**CpuKernels(), factory, weights, *facts.ttt, 64, Precision::kFp32));
    const auto log = std::move(*AuditLog::Create(path_, facts));
    EvalObserver* observers[] = {log.get()};
    sums_ = *Evaluate({stream, bytes_, windows, steps}, scorer, &trainer, observers);
    ASSERT_TRUE(log->Finish().ok());
    head_ = log->head_sha256();
    std::ifstream file(path_);
    lines_.clear();
    for (std::string line; std::getline(file, line);) lines_.push_back(line);
  }

  static std::string Verify(const Lines& lines, const AuditEvidence& evidence = {}) {
    std::string log;
    for (const std::string& line : lines) log += line + '\n';
    return VerifyAuditText(log, "log", evidence).status().message();
  }

  // A forger who knows the format: edits one record, then mends the chain and the weight versions behind it.
  Lines Forge(size_t at, const std::function<void(Json&)>& edit) { return Mend(lines_, at, edit); }
  static Lines Mend(Lines lines, size_t at = SIZE_MAX,
                    const std::function<void(Json&)>& edit = {}) {
    std::string prev(64, '0'), weights;
    for (size_t i = 0; i < lines.size(); ++i) {
      Json record = Json::parse(lines[i]);
      if (i == 0) weights = record["artifact_sha256"];
      if (i > 0) record["weights"] = weights;
      if (i == at) edit(record);
      record["prev"] = prev;
      lines[i] = record.dump();
      prev = ToHex(Sha256::Of(AsBytes(lines[i])));
      if (record["type"] == "train") weights = prev;
    }
    return lines;
  }

  size_t Find(const std::string& type, size_t nth = 0) const {
    for (size_t i = 0; i < lines_.size(); ++i) {
      if (Json::parse(lines_[i])["type"] == type && nth-- == 0) return i;
    }
    ADD_FAILURE() << "no " << type;
    return 0;
  }

  const test::TempFolder folder_;
  const std::string path_ = folder_ / "log";
  const std::string artifact_ = folder_.Write("artifact", "any bytes");
  const std::string shard_ = folder_ / "val_\xff.bin";  // no UTF-8
  const ByteTable bytes_ = test::MadeUpBytes();
  ScoreSums sums_;
  std::string head_;
  Lines lines_;
};

TEST_F(Audit, AnHonestLogVerifies) {
  const auto report = VerifyAudit(path_);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->targets, 640U);
  EXPECT_EQ(report->count, 640U);
  EXPECT_EQ(report->repeated, 0U);
  EXPECT_EQ(report->train_records, 2U);
  EXPECT_EQ(report->score_records, 3U);
  EXPECT_EQ(report->updates, 20U);
  EXPECT_EQ(report->bytes, sums_.bytes);
  EXPECT_DOUBLE_EQ(report->bits_per_byte, sums_.bits_per_byte());
  EXPECT_EQ(report->head_sha256, head_);
}

TEST_F(Audit, MendingAnHonestLogChangesNothing) { EXPECT_EQ(Mend(lines_), lines_); }

TEST_F(Audit, EveryAlteredByteIsDetected) {
  for (size_t i = 0; i < lines_.size(); ++i) {
    for (size_t c = 0; c < lines_[i].size(); ++c) {
      Lines altered = lines_;
      altered[i][c] = static_cast<char>(altered[i][c] ^ 1);
      EXPECT_NE(Verify(altered), "") << "line " << i << ", column " << c;
    }
  }
}

TEST_F(Audit, DroppedSwappedDoubledAndCutRecordsAreDetected) {
  for (size_t i = 0; i < lines_.size(); ++i) {
    Lines dropped = lines_, doubled = lines_,
          cut(lines_.begin(), lines_.begin() + static_cast<long>(i));
    dropped.erase(dropped.begin() + static_cast<long>(i));
    doubled.insert(doubled.begin() + static_cast<long>(i), lines_[i]);
    EXPECT_NE(Verify(dropped), "") << i;
    EXPECT_NE(Verify(doubled), "") << i;
    EXPECT_NE(Verify(cut), "") << i;
    if (i == 0) continue;
    Lines swapped = lines_;
    std::swap(swapped[i - 1], swapped[i]);
    EXPECT_NE(Verify(swapped), "") << i;
  }
}

TEST_F(Audit, DroppedRecordsAreDetectedBehindAMendedChain) {
  for (size_t i = 1; i < lines_.size(); ++i) {
    if (Json::parse(lines_[i])["type"] == "train") continue;  // not having trained is no offence
    Lines dropped = lines_;
    dropped.erase(dropped.begin() + static_cast<long>(i));
    EXPECT_NE(Verify(Mend(dropped)), "") << i;
  }
}

TEST_F(Audit, TrainingBeforeScoringIsDetected) {
  Lines lines = lines_;
  std::swap(lines[Find("score", 0)], lines[Find("train", 0)]);
  EXPECT_THAT(Verify(Mend(lines)), HasSubstr("before they are scored"));
  EXPECT_THAT(Verify(Forge(Find("train", 0),
                           [](Json& r) {
                             r["range"] = {256, 512};
                           })),
              HasSubstr("before they are scored"));
}

TEST_F(Audit, ScoringTwiceOrNotAtAllIsDetected) {
  EXPECT_THAT(Verify(Forge(Find("score", 1), [](Json& r) { r["range"][0] = 200; })),
              HasSubstr("a second time"));
  EXPECT_THAT(Verify(Forge(Find("score", 1), [](Json& r) { r["range"][0] = 260; })),
              HasSubstr("never scored"));
  EXPECT_THAT(
      Verify(Forge(Find("score", 2), [](Json& r) { r["range"][1] = 639, r["count"] = 127; })),
      HasSubstr("never scored"));
}

TEST_F(Audit, TrainingOnTheLastChunkIsDetected) {
  Lines lines = lines_;
  Json train = Json::parse(lines[Find("train", 1)]);
  train["range"] = {512, 640};
  lines.insert(lines.end() - 1, train.dump());
  EXPECT_THAT(Verify(Mend(lines)), HasSubstr("after the last score"));
}

TEST_F(Audit, TrainingThatWasNotAnnouncedIsDetected) {
  EXPECT_THAT(Verify(Forge(0, [](Json& r) { r["ttt"] = nullptr; })),
              HasSubstr("without test-time training"));
}

TEST_F(Audit, ScoresByOtherWeightsAreDetected) {
  EXPECT_THAT(Verify(Forge(Find("score", 1), [](Json& r) { r["weights"] = std::string(64, 'c'); })),
              HasSubstr("other weights"));
}

TEST_F(Audit, SumsThatDoNotAddUpAreDetected) {
  const size_t end = lines_.size() - 1;
  for (const char* field : {"nll_nats", "loss_nats", "bits_per_byte"}) {
    EXPECT_THAT(Verify(Forge(end, [&](Json& r) { r[field] = r[field].get<double>() * 0.999; })),
                HasSubstr("totals"));
  }
  EXPECT_THAT(Verify(Forge(end, [](Json& r) { r["bytes"] = r["bytes"].get<uint64_t>() + 1; })),
              HasSubstr("totals"));
  EXPECT_THAT(Verify(Forge(Find("score"), [](Json& r) { r["nll_nats"] = -1.0; })),
              HasSubstr("0 or more"));
  EXPECT_THAT(Verify(Forge(Find("score"), [](Json& r) { r["count"] = 5; })),
              HasSubstr("length of the range"));
}

// Without it, as text, as null, negative, as an empty and a long list, backwards: no field may be anything else than it is, but
// for those that only describe the run.
TEST_F(Audit, EveryFieldIsNeededAsItIs) {
  const std::set<std::string> described = {
      "artifact_name",   "artifact_bytes", "tokenizer_sha256", "shards",
      "val_tokens",      "window",         "precision",        "ttt",
      "first_loss_nats", "last_loss_nats", "weights_xxh3",     "stride"};
  for (const std::string type : {"header", "score", "train", "end"}) {
    const size_t at = Find(type);
    const Json record = Json::parse(lines_[at]);
    for (const auto& [key, value] : record.items()) {
      if (key == "prev" || key == "artifact_sha256" || described.contains(key)) continue;
      const std::string field = key;
      EXPECT_NE(Verify(Forge(at, [&](Json& r) { r.erase(field); })), "") << type << ' ' << field;
      for (const Json& other : {Json(nullptr), Json("x"), Json(-1), Json::array(), Json({1, 2, 3}),
                                Json({9, 3}), Json({-1, 3}), Json({0, "3"})}) {
        EXPECT_NE(Verify(Forge(at, [&](Json& r) { r[field] = other; })), "")
            << type << ' ' << field << " as " << other;
      }
    }
  }
  for (const char* field : {"target_tokens", "stride", "shards", "ttt"}) {
    EXPECT_THAT(Verify(Forge(0, [&](Json& r) { r.erase(field); })), HasSubstr("incomplete"));
  }
  EXPECT_THAT(Verify(Forge(0, [](Json& r) { r["shards"] = 3; })), HasSubstr("incomplete"));
  EXPECT_THAT(Verify(Forge(0, [](Json& r) { r["version"] = 2; })), HasSubstr("version 1"));
}

TEST_F(Audit, EvidenceHasToFit) {
  AuditEvidence evidence;
  evidence.shard_paths = {path_, path_};
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("1 shards, not 2"));
  evidence.shard_paths = {path_};
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("another file"));
  evidence.shard_paths = {"/nonexistent"};
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("/nonexistent"));
  evidence.shard_paths = {path_};
  EXPECT_THAT(Verify(Forge(0, [](Json& r) { r["shards"] = {3}; }), evidence),
              HasSubstr("another file"));
  evidence = AuditEvidence();
  evidence.artifact_path = path_;
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("another artifact"));
}

// The whole evidence, and then each piece of it missing or another.
TEST_F(Audit, TheBytesOfEveryRecordAreCountedAgain) {
  const AuditEvidence whole{artifact_, {shard_}, bytes_, ""};
  const auto report = VerifyAudit(path_, whole);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->bytes_recounted);
  EXPECT_THAT(
      Verify(Forge(Find("score"), [](Json& r) { r["bytes"] = r["bytes"].get<uint64_t>() + 1; }),
             whole),
      HasSubstr("where the text has"));

  const auto with = [&](const auto& edit) {
    AuditEvidence evidence = whole;
    edit(evidence);
    return Verify(lines_, evidence);
  };
  EXPECT_EQ(with([](AuditEvidence& e) { e.byte_table.reset(); }), "");
  EXPECT_THAT(with([](AuditEvidence& e) { e.artifact_path = "/nonexistent/a"; }),
              HasSubstr("/nonexistent/a"));
  EXPECT_THAT(with([](AuditEvidence& e) { e.receipt_path = "/nonexistent/r"; }),
              HasSubstr("/nonexistent/r"));
  EXPECT_THAT(with([](AuditEvidence& e) { e.byte_table->bytes.resize(10); }),
              HasSubstr("where the text has 0"))
      << "a token beyond the table";
}

TEST_F(Audit, AFileThatIsNoShardIsNoEvidence) {
  const std::string text = folder_.Write("text", "no shard");
  EXPECT_THAT(Verify(Forge(0, [&](Json& r) { r["shards"][0]["sha256"] = *Sha256OfFile(text); }),
                     {"", {text}, bytes_, ""}),
              HasSubstr("not a token shard"));
}

TEST_F(Audit, ALineThatIsCutOffIsDetected) {
  std::string log = test::ReadAll(path_);
  log.pop_back();
  EXPECT_THAT(VerifyAuditText(log, "log").status().message(), HasSubstr("cut off"));
}

// A run of nothing: no score, no bytes, and no division by them.
TEST_F(Audit, AnEmptyRunHasNoMean) {
  const Lines lines = {lines_[0], lines_.back()};
  const auto empty = [](Json& r) {
    for (const char* field : {"bytes", "count"}) r[field] = 0;
    for (const char* field : {"nll_nats", "loss_nats", "bits_per_byte"}) r[field] = 0.0;
  };
  Lines forged = Mend(lines, 0, [](Json& r) { r["target_tokens"] = 0; });
  forged = Mend(forged, 1, empty);
  EXPECT_EQ(Verify(forged), "");
}

TEST_F(Audit, HostileLinesAreRefused) {
  for (const std::string& line : {std::string(100000, '['), std::string("{}"), std::string(""),
                                  std::string("null"), std::string("{\"type\":1}"), lines_[0] + " ",
                                  std::string("{\"a\":") + std::string(100000, '['),
                                  "{\"type\":\"end\"," + lines_[0].substr(1)}) {
    EXPECT_NE(Verify({line}), "");
  }
  EXPECT_NE(Verify({}), "");
  EXPECT_EQ(VerifyAudit("/nonexistent/log").status().code(), Code::kIo);
}

TEST_F(Audit, TheReferenceProtocolRepeatsItsTailOnly) {
  Run("reference");
  const auto report = VerifyAudit(path_);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->repeated, 48U);
  EXPECT_EQ(report->count, 688U);
  EXPECT_THAT(Verify(Forge(0, [](Json& r) { r["protocol"] = "once"; })),
              HasSubstr("a second time"));
  EXPECT_THAT(Verify(Forge(Find("score", 1), [](Json& r) { r["range"][0] = 200; })),
              HasSubstr("a second time"));
}

TEST_F(Audit, AReceiptOfAnotherRunIsDetected) {
  const std::string path = folder_ / "receipt";
  RunResult result;
  result.sums = sums_;
  result.audit_head_sha256 = head_;
  AuditEvidence evidence;
  evidence.receipt_path = path;
  const auto verify = [&](const Json& receipt) {
    std::ofstream(path) << receipt.dump(2);
    return Verify(lines_, evidence);
  };
  Json receipt = Receipt({}, {}, result, DescribePlatform("test", 1));
  EXPECT_EQ(verify(receipt), "");
  for (const char* field : {"bytes_scored", "scored", "val_loss", "val_bpb"}) {
    for (const Json& other : {Json(1.5), Json(7), Json("x"), Json(nullptr)}) {
      Json forged = receipt;
      forged[field] = other;
      EXPECT_THAT(verify(forged), HasSubstr(field)) << other;
    }
    Json forged = receipt;
    forged.erase(field);
    EXPECT_THAT(verify(forged), HasSubstr(field));
  }
  result.audit_head_sha256 = std::string(64, '1');
  EXPECT_THAT(verify(Receipt({}, {}, result, {})), HasSubstr("audit_head_sha256"));
  EXPECT_THAT(verify("text"), HasSubstr("not a receipt"));
}

// The log's bytes are those of the text; a space counted in table and sum alike would show.
TEST_F(Audit, RecountingAgreesWithTheScorer) {
  const TokenStream stream = test::RandomStream(64 * 10 + 1);
  const ByteRecount recount(bytes_, {stream.tokens().begin(), stream.tokens().end()});
  for (const std::string& line : lines_) {
    const Json record = Json::parse(line);
    if (record["type"] != "score") continue;
    EXPECT_EQ(recount.Bytes({record["range"][0], record["range"][1]}),
              record["bytes"].get<uint64_t>());
  }
  EXPECT_EQ(recount.Bytes({0, stream.tokens().size()}), std::nullopt);
}

}  // namespace
}  // namespace golf
