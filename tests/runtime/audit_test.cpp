#include <gmock/gmock.h>

#include <set>

#include "runtime/recount_bytes.h"
#include "tests/runtime/audited_run.h"

namespace golf {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;
using Lines = std::vector<std::string>;

class Audit : public test::AuditedRun {};

TEST_F(Audit, AnHonestLogVerifies) {
  const auto report = VerifyAudit(path_);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->targets, 640U);
  EXPECT_EQ(report->count, 640U);
  EXPECT_EQ(report->repeated, 0U);
  EXPECT_EQ(report->train_records, 2U);
  EXPECT_EQ(report->score_records, 4U);  // the first window has its own
  EXPECT_EQ(report->updates, 40U);       // 10 epochs of 2 updates for each of 2 chunks
  EXPECT_EQ(report->bytes, result_.sums.bytes);
  EXPECT_DOUBLE_EQ(report->bits_per_byte, result_.sums.bits_per_byte());
  EXPECT_EQ(report->head_sha256, result_.audit_head_sha256);
  EXPECT_TRUE(report->one_pass());
  EXPECT_FALSE(report->limited);
  EXPECT_EQ(report->used_tokens, report->shard_tokens);
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
    Lines dropped = lines_;
    dropped.erase(dropped.begin() + static_cast<long>(i));
    EXPECT_NE(Verify(Mend(dropped)), "") << i;
  }
}

TEST_F(Audit, TrainingBeforeScoringIsDetected) {
  Lines lines = lines_;
  std::swap(lines[Find("score", 1)], lines[Find("train", 0)]);
  EXPECT_THAT(Verify(Mend(lines)), HasSubstr("before they are scored"));
  EXPECT_THAT(Verify(Forge(Find("train", 0),
                           [](Json& r) {
                             r["range"] = {256, 512};
                           })),
              HasSubstr("before they are scored"));
}

TEST_F(Audit, ScoringTwiceOrNotAtAllIsDetected) {
  EXPECT_THAT(Verify(Forge(Find("score", 2), [](Json& r) { r["range"][0] = 200; })),
              HasSubstr("a second time"));
  EXPECT_THAT(Verify(Forge(Find("score", 2), [](Json& r) { r["range"][0] = 260; })),
              HasSubstr("never scored"));
  EXPECT_THAT(
      Verify(Forge(Find("score", 3), [](Json& r) { r["range"][1] = 639, r["count"] = 127; })),
      HasSubstr("the scores of [512,640] by the windows from 464 to 576"));
  Lines lines = lines_;
  lines.erase(lines.begin() + static_cast<long>(Find("score", 3)));
  EXPECT_THAT(Verify(Mend(lines)), HasSubstr("targets 512 to 640 are never scored"));
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
              HasSubstr("call for the scores of [64,640] by the windows from 16 to 576"));
}

TEST_F(Audit, ScoresByOtherWeightsAreDetected) {
  EXPECT_THAT(Verify(Forge(Find("score", 2), [](Json& r) { r["weights"] = std::string(64, 'c'); })),
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

TEST_F(Audit, EvidenceHasToFit) {
  AuditEvidence evidence;
  evidence.shard_paths = {shard_, shard_};
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("1 shards, not 2"));
  const std::string other = folder_ / "other.bin";
  ASSERT_TRUE(WriteTokenShard(other, test::RandomStream(641, 2).tokens()).ok());
  evidence.shard_paths = {other};
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("another file"));
  evidence.shard_paths = {"/nonexistent"};
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("/nonexistent"));
  evidence = Files();
  evidence.artifact->sha256[0] ^= 1;
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("another artifact"));
  evidence = Files();
  evidence.artifact->bytes = 10;
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("artifact_bytes is 9"));
}

// The whole evidence, and then each piece of it missing or another.
TEST_F(Audit, TheBytesOfEveryRecordAreCountedAgain) {
  const AuditEvidence whole = Files();
  const auto report = VerifyAudit(path_, whole);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->bytes_recounted);
  EXPECT_TRUE(report->tokenizer_checked);
  EXPECT_THAT(
      Verify(Forge(Find("score"), [](Json& r) { r["bytes"] = r["bytes"].get<uint64_t>() + 1; }),
             whole),
      HasSubstr("where the text has"));

  const auto with = [&](const auto& edit) {
    AuditEvidence evidence = whole;
    edit(evidence);
    return Verify(lines_, evidence);
  };
  EXPECT_EQ(with([](AuditEvidence& e) { e.artifact.reset(), e.tokenizer.reset(); }), "");
  EXPECT_EQ(with([](AuditEvidence& e) { e.artifact.reset(); }), "");
  EXPECT_THAT(with([](AuditEvidence& e) { e.receipt_path = "/nonexistent/r"; }),
              HasSubstr("/nonexistent/r"));
  EXPECT_THAT(with([](AuditEvidence& e) {
                e.tokenizer.reset();
                e.artifact->tokenizer.byte_table.bytes.resize(10);
              }),
              HasSubstr("where the text has 0"))
      << "a token beyond the table";
}

// A forged table in the artifact, whose hash the log names, and the same log beside the tokenizer.
TEST_F(Audit, TheByteTableHasToBeTheTokenizers) {
  AuditEvidence evidence = Files();
  evidence.artifact->tokenizer.byte_table.bytes[7] += 1;
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("piece 7 counts 3 bytes, expected 2"));
  evidence = Files();
  evidence.tokenizer->tokenizer.sha256 = std::string(64, '8');
  EXPECT_THAT(Verify(lines_, evidence), HasSubstr("another tokenizer than t.model"));
}

TEST_F(Audit, APartOfTheTextIsToldFromTheWhole) {
  Run("once", true, 300);
  const auto report = VerifyAudit(path_, Files());
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->limited);
  EXPECT_EQ(report->used_tokens, 300U);
  EXPECT_EQ(report->shard_tokens, 641U);
  EXPECT_THAT(Verify(Forge(0, [](Json& r) { r["limit_tokens"] = nullptr; })),
              HasSubstr("val_tokens"));
  EXPECT_THAT(
      Verify(Forge(0, [](Json& r) { r["limit_tokens"] = nullptr, r["shards"][0]["tokens"] = 300; }),
             Files()),
      HasSubstr("shard 0 has other tokens"));
  EXPECT_THAT(Verify(Forge(0, [](Json& r) { r["target_tokens"] = 298; })),
              HasSubstr("target_tokens"));
}

TEST_F(Audit, AFileThatIsNoShardIsNoEvidence) {
  const std::string text = folder_.Write("text", "no shard");
  AuditEvidence evidence;
  evidence.shard_paths = {text};
  EXPECT_THAT(
      Verify(Forge(0, [&](Json& r) { r["shards"][0]["sha256"] = *Sha256OfFile(text); }), evidence),
      HasSubstr("not a token shard"));
}

TEST_F(Audit, ALineThatIsCutOffIsDetected) {
  std::string log = test::ReadAll(path_);
  log.pop_back();
  EXPECT_THAT(VerifyAuditText(log, "log").status().message(), HasSubstr("cut off"));
}

TEST_F(Audit, AnEmptyRunIsRefused) {
  const Lines lines = {lines_[0], lines_.back()};
  EXPECT_THAT(Verify(Mend(lines, 0, [](Json& r) { r["target_tokens"] = 0, r["val_tokens"] = 1; })),
              HasSubstr("val_tokens"));
}

// Settings at the ends of their ranges neither overflow nor take long.
TEST_F(Audit, HugeSettingsAreRefusedOrCheap) {
  for (const uint64_t tokens : {uint64_t{1} << 31, (uint64_t{1} << 31) - 1, UINT64_MAX}) {
    EXPECT_NE(Verify(Forge(0,
                           [&](Json& r) {
                             r["shards"][0]["tokens"] = tokens;
                             r["val_tokens"] = tokens, r["target_tokens"] = tokens - 1;
                             r["stride"] = 1;
                           })),
              "");
  }
  for (const char* field : {"epochs", "chunk_tokens", "batch_sequences"}) {
    for (const uint64_t value : {uint64_t{1} << 20, uint64_t{1} << 42, UINT64_MAX})
      EXPECT_NE(Verify(Forge(0, [&](Json& r) { r["ttt"][field] = value; })), "") << field;
  }
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

TEST_F(Audit, TheReferenceProtocolRepeatsItsTailExactlyAsOftenAsItsWindowsSay) {
  Run("reference");
  const auto report = VerifyAudit(path_, Files());
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_FALSE(report->one_pass());
  EXPECT_EQ(report->repeated, 48U);
  EXPECT_EQ(report->left_out, 0U);
  EXPECT_EQ(report->count, 688U);
  EXPECT_THAT(Verify(Forge(0, [](Json& r) { r["protocol"] = "once"; })),
              HasSubstr("a second time"));
  EXPECT_THAT(Verify(Forge(Find("score", 2), [](Json& r) { r["range"][0] = 200; })),
              HasSubstr("a second time"));
  const size_t repeat = Find("end") - 1;
  Lines more = lines_, fewer = lines_;
  more.insert(more.begin() + static_cast<long>(repeat), lines_[repeat]);
  fewer.erase(fewer.begin() + static_cast<long>(repeat));
  EXPECT_THAT(Verify(Mend(more)), HasSubstr("a second time"));
  EXPECT_THAT(Verify(Mend(fewer)), HasSubstr("call for the scores of [624,640]"));
}

// The log's bytes are those of the text; a space counted in table and sum alike would show.
TEST_F(Audit, RecountingAgreesWithTheScorer) {
  const TokenStream stream = test::RandomStream(64 * 10 + 1);
  const ByteRecount recount(tokenizer_.byte_table,
                            {stream.tokens().begin(), stream.tokens().end()});
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
