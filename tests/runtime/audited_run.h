// A run with test-time training on fakes, its log, the evidence, and what a forger can do to them.
#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "artifact/file.h"
#include "artifact/json.h"
#include "artifact/sha256.h"
#include "artifact/token_shard.h"
#include "kernels/table.h"
#include "runtime/audit_log.h"
#include "runtime/micro_batch.h"
#include "runtime/receipt.h"
#include "runtime/verify_audit.h"
#include "tests/runtime/fake_executor.h"
#include "tests/runtime/made_up_text.h"
#include "tests/support/temp_folder.h"

namespace golf::test {

class AuditedRun : public testing::Test {
 protected:
  using Json = nlohmann::ordered_json;
  using Lines = std::vector<std::string>;

  void SetUp() override { Run("once"); }

  void Run(const std::string& protocol, bool train = true, uint64_t limit = 0) {
    TokenStream stream = RandomStream(64 * 10 + 1);
    ASSERT_TRUE(WriteTokenShard(shard_, stream.tokens()).ok());
    facts_ = RunFacts();
    facts_.artifact_path = artifact_;
    facts_.artifact_bytes = test::ReadAll(artifact_).size();
    facts_.artifact_sha256 = *Sha256OfFile(artifact_);
    facts_.tokenizer_sha256 = tokenizer_.sha256;
    facts_.shards = {{shard_, *Sha256OfFile(shard_), stream.tokens().size()}};
    if (limit > 0) {
      facts_.limit_tokens = limit;
      stream = *TokenStream::FromTokens(
          {stream.tokens().begin(), stream.tokens().begin() + static_cast<ptrdiff_t>(limit)},
          kVocab);
    }
    facts_.stream_tokens = stream.tokens().size();
    facts_.targets = stream.targets();
    facts_.rule = {64, stride_, *TailOf(protocol)};
    facts_.protocol = protocol;
    facts_.kernels = "avx2";
    if (train) {
      facts_.ttt = TttOptions();
      facts_.ttt->preset = "pr668";
      facts_.ttt->schedule = TttOptions::Schedule::kCosine;
      facts_.ttt->chunk_tokens = 256;
      facts_.ttt->batch_sequences = 3;
      facts_.ttt->trainable = FreezeFirstBlocks(1);
      facts_.ttt->micro_batch = MicroBatch(*facts_.ttt, 64);
    }
    TensorSet weights = FakeWeights();
    FakeCalls calls;
    const auto factory = FakeExecutors(weights, calls);
    const auto windows = *MakeWindows(facts_.rule, stream.targets());
    const auto steps =
        train ? ScoreFirst(windows, stream.targets(), 64, *facts_.ttt) : ScoreOnly(windows);
    WindowScorer scorer(factory, {facts_.rule, 8, Precision::kFp32});
    std::optional<TttTrainer> trainer;
    if (train)
      trainer = std::move(
          *TttTrainer::Create(**CpuKernels(), factory, weights, *facts_.ttt, 64, Precision::kFp32));
    const auto log = std::move(*AuditLog::Create(path_, facts_, /*replace=*/true));
    EvalObserver* observers[] = {log.get()};
    result_ = RunResult();
    result_.sums = *Evaluate({stream, tokenizer_.byte_table, windows, steps}, scorer,
                             trainer ? &*trainer : nullptr, observers);
    if (train) {
      result_.adaptation = AdaptationCounts{steps.back().chunk + 1, 0, 0};
      for (const EvalStep& step : steps) {
        if (step.kind == EvalStep::Kind::kScore) continue;
        const uint64_t sequences = (step.end - step.begin) / 64;
        ++result_.adaptation->trained_chunks;
        result_.adaptation->updates += facts_.ttt->epochs * ((sequences + 2) / 3);
      }
    }
    ASSERT_TRUE(log->Finish().ok());
    result_.audit_head_sha256 = log->head_sha256();
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
  Lines Forge(size_t at, const std::function<void(Json&)>& edit) const {
    return Mend(lines_, at, edit);
  }
  static Lines Mend(Lines lines, size_t at = SIZE_MAX,
                    const std::function<void(Json&)>& edit = {}) {
    std::string prev(64, '0'), weights;
    for (size_t i = 0; i < lines.size(); ++i) {
      Json record = Json::parse(lines[i]);
      if (i == 0 && record["artifact_sha256"].is_string()) weights = record["artifact_sha256"];
      if (i > 0) record["weights"] = weights;
      if (i == at) edit(record);
      record["prev"] = prev;
      lines[i] = DumpJson(record);
      prev = ToHex(Sha256::Of(AsBytes(lines[i])));
      if (record.contains("type") && record["type"] == "train") weights = prev;
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

  // Artifact, shards and tokenizer.
  AuditEvidence Files() const {
    AuditEvidence files;
    files.artifact = {artifact_, facts_.artifact_sha256, facts_.artifact_bytes, tokenizer_};
    files.shard_paths = {shard_};
    files.tokenizer = {"t.model", tokenizer_};
    return files;
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "log";
  const std::string artifact_ = folder_.Write("artifact", "any bytes");
  const std::string shard_ = folder_ / "val_\xff.bin";  // no UTF-8
  const TokenizerInfo tokenizer_{std::string(64, '7'), MadeUpBytes()};
  size_t stride_ = 16;
  RunFacts facts_;
  RunResult result_;
  Lines lines_;
};

}  // namespace golf::test
