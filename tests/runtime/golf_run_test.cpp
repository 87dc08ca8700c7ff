// The program: what it prints, refuses, links, and how fast it starts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "artifact/artifact.h"
#include "artifact/sha256.h"
#include "artifact/token_shard.h"
#include "runtime/audit_log.h"
#include "runtime/verify_audit.h"
#include "tests/runtime/forge_log.h"
#include "tests/runtime/made_up_text.h"
#include "tests/runtime/run_program.h"
#include "tests/runtime/small_network.h"

namespace golf {
namespace {

using nlohmann::json;
using test::ProgramOutput;
using testing::HasSubstr;

// A SentencePiece model with kVocab pieces: two of control, then texts of 1 to 5 bytes, every third with a space in front.
std::string MadeUpModel(const std::string& suffix = "") {
  const auto field = [](char number, const std::string& bytes) {
    return std::string{number, static_cast<char>(bytes.size())} + bytes;
  };
  std::string model;
  for (uint32_t i = 0; i < test::kVocab; ++i) {
    const std::string text = (i % 3 == 0 ? "\xe2\x96\x81" : "") + std::string(1 + i % 5, 'a') +
                             std::to_string(i) + suffix;
    model += field('\x0a', field('\x0a', text) + (i < 2 ? std::string("\x18\x03") : ""));
  }
  return model;
}

// net.ptz with another tokenizer.
void WriteWithTokenizer(const std::string& from, const std::string& to,
                        const TokenizerInfo& tokenizer) {
  const auto artifact = Artifact::Read(from);
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  const auto file = SerialiseArtifact(
      {artifact->program_bytes(), tokenizer, artifact->provenance(), artifact->encoded()}, 3);
  ASSERT_TRUE(WriteFileAtomically(to, file).ok());
}

class GolfRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::filesystem::create_directories(folder_);
    const auto program = BuildNetwork(test::SmallNetworkConfig(test::kVocab, 64));
    const TensorSet weights = test::RandomWeights(*program);
    std::ofstream(Path("t.model"), std::ios::binary) << MadeUpModel();
    test::WriteArtifact(Path("net.ptz"), *program, test::Views(weights), test::MadeUpBytes(),
                        "pr668");
    WriteWithTokenizer(Path("net.ptz"), Path("tok.ptz"), *ReadTokenizerInfo(Path("t.model")));
    const auto write = [](const char* name, size_t tokens, unsigned seed) {
      const TokenStream stream = test::RandomStream(tokens, seed);
      ASSERT_TRUE(WriteTokenShard(Path(name), stream.tokens()).ok());
    };
    write("val_0.bin", 600, 1);
    write("val_1.bin", 401, 2);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  static std::string Path(const std::string& name) { return (folder_ / name).string(); }
  static ProgramOutput Run(const std::string& arguments) {
    return test::RunProgram("golf-run", arguments, folder_);
  }
  static json RunJson(const std::string& flags) {
    const ProgramOutput output =
        Run(Path("net.ptz") + " " + Path("val_*.bin").insert(0, "'") + "' --json " + flags);
    EXPECT_EQ(output.exit_code, 0) << output.err;
    return json::parse(output.out, nullptr, false);
  }
  static ProgramOutput Verify(const std::string& log, const std::string& flags = "",
                              const std::string& artifact = "net.ptz") {
    return test::RunProgram("golf-inspect",
                            "verify " + log + " --artifact " + Path(artifact) + " --shards " +
                                Path("val_0.bin") + " " + Path("val_1.bin") + " " + flags,
                            folder_);
  }
  // Everything but what differs from run to run by nature.
  static json Score(const std::string& flags) {
    json receipt = RunJson(flags);
    for (const char* field : {"eval", "hardware"}) receipt.erase(field);
    return receipt;
  }

  static inline const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("golf_run_" + std::to_string(getpid()));
};

constexpr const char* kTtt = " --ttt --ttt-chunk 256 --ttt-epochs 2 --ttt-lr 0.01";

TEST_F(GolfRun, ScoresEveryTargetOnceAcrossShards) {
  const json receipt = RunJson("--stride 16");
  EXPECT_EQ(receipt["val_tokens"], 1001);
  EXPECT_EQ(receipt["target_tokens"], 1000);
  EXPECT_EQ(receipt["scored"], 1000);
  EXPECT_EQ(receipt["shards"].size(), 2U);
  EXPECT_EQ(receipt["protocol"], "once");
  EXPECT_TRUE(receipt["ttt"].is_null());
  const double bpb =
      receipt["nll_sum_nats"].get<double>() / std::log(2.0) / receipt["bytes_scored"].get<double>();
  EXPECT_DOUBLE_EQ(receipt["val_bpb"].get<double>(), bpb);
}

TEST_F(GolfRun, LimitsAndProtocolsChangeWhatIsScored) {
  EXPECT_EQ(RunJson("--plain --limit-tokens 300")["scored"], 299);
  EXPECT_EQ(RunJson("--plain --limit-tokens 300")["shards"].size(), 1U);
  const json reference = RunJson("--stride 16 --protocol reference");
  EXPECT_EQ(reference["target_tokens"], 960);  // whole windows of 64
  EXPECT_EQ(reference["scored"], 960 + 48);    // three windows more reach the end
  const json all = RunJson("--stride 25 --protocol reference-all");
  EXPECT_EQ(all["target_tokens"], 960);
  // Windows start at 0, 25, ..., 950. Those at 900, 925 and 950 reach the end; the last has 10 targets.
  EXPECT_EQ(all["scored"], 64 + 25 * 37 + 10);
  EXPECT_EQ(RunJson("--stride 25 --protocol reference")["scored"], 64 + 25 * 37);
}

TEST_F(GolfRun, BatchesThreadsAndRepetitionDoNotChangeTheScore) {
  const json one = Score(std::string("--stride 16 --threads 1 --batch 1") + kTtt);
  EXPECT_EQ(one, Score(std::string("--stride 16 --threads 2 --batch 7") + kTtt));
  EXPECT_EQ(one, Score(std::string("--stride 16 --threads 2 --batch 32") + kTtt));
  EXPECT_NE(one["val_bpb"], Score("--stride 16")["val_bpb"]);
}

TEST_F(GolfRun, AuditLogAndReceiptVerify) {
  const json receipt = RunJson("--stride 16 --audit " + Path("audit.jsonl") + " --receipt " +
                               Path("receipt.json") + kTtt);
  const auto artifact = Artifact::Read(Path("net.ptz"));
  AuditEvidence evidence;
  evidence.artifact = {Path("net.ptz"), artifact->sha256(), artifact->file_bytes(),
                       artifact->tokenizer()};
  evidence.shard_paths = {Path("val_0.bin"), Path("val_1.bin")};
  evidence.receipt_path = Path("receipt.json");
  const auto report = VerifyAudit(Path("audit.jsonl"), evidence);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->bytes_recounted);
  EXPECT_EQ(report->train_records, 3U);
  EXPECT_EQ(report->head_sha256, receipt["audit_head_sha256"]);
  evidence.artifact->tokenizer.byte_table.leading_space[4] ^= 1;
  EXPECT_THAT(VerifyAudit(Path("audit.jsonl"), evidence).status().message(),
              HasSubstr("where the text has"));
  evidence.shard_paths = {Path("val_1.bin"), Path("val_0.bin")};
  EXPECT_THAT(VerifyAudit(Path("audit.jsonl"), evidence).status().message(),
              HasSubstr("another file"));
  evidence.artifact->sha256 = *Sha256OfFile(Path("val_0.bin"));
  EXPECT_THAT(VerifyAudit(Path("audit.jsonl"), evidence).status().message(),
              HasSubstr("another artifact"));
}

TEST_F(GolfRun, InspectVerifiesLogsAndNamesTheWrongRecord) {
  const std::string log = Path("verified.jsonl");
  const json receipt = RunJson("--stride 16 --protocol reference --audit " + log + kTtt);
  const ProgramOutput honest = Verify(log, "--json");
  ASSERT_EQ(honest.exit_code, 0) << honest.err;
  const json report = json::parse(honest.out);
  EXPECT_EQ(report["audit_head_sha256"], receipt["audit_head_sha256"]);
  EXPECT_EQ(report["repeated"], 48);
  EXPECT_EQ(report["bytes_recounted"], true);
  EXPECT_EQ(report["scores"], "consistent");
  EXPECT_EQ(report["state"], "reference");
  EXPECT_EQ(report["byte_table"], "not checked against a tokenizer");
  const std::string text = Verify(log).out;
  EXPECT_THAT(text, HasSubstr("consistent"));
  EXPECT_THAT(text, HasSubstr("not one pass (protocol reference): 48 scores of the last targets"));
  EXPECT_THAT(text, HasSubstr("without the last 40, which fill no window"));
  EXPECT_THAT(text, HasSubstr("not checked against a tokenizer"));
  for (const char* word : {"valid", "verified"}) EXPECT_THAT(text, testing::Not(HasSubstr(word)));
  std::filesystem::resize_file(log, std::filesystem::file_size(log) - 1);
  const ProgramOutput cut = Verify(log);
  EXPECT_EQ(cut.exit_code, static_cast<int>(Code::kBadData));
  EXPECT_THAT(cut.err, HasSubstr("the line is cut off"));
}

TEST_F(GolfRun, APartOfTheTextIsCalledAPart) {
  const std::string log = Path("part.jsonl");
  const ProgramOutput run = Run(Path("net.ptz") + " '" + Path("val_*.bin") +
                                "' --plain --limit-tokens 300 --audit " + log);
  EXPECT_THAT(run.out, HasSubstr("a part: the first 300 tokens (--limit-tokens)"));
  const ProgramOutput verified = Verify(log);
  EXPECT_EQ(verified.exit_code, 0) << verified.err;
  EXPECT_THAT(verified.out, HasSubstr("a part: the first 300 tokens"));
  EXPECT_EQ(json::parse(Verify(log, "--json").out)["text"], "part");
  EXPECT_THAT(RunJson("--plain")["limit_tokens"], json());
  EXPECT_EQ(RunJson("--plain --limit-tokens 600")["limit_tokens"], 600);  // all of the first shard
  EXPECT_THAT(RunJson("--plain --limit-tokens 1001")["limit_tokens"], json());
}

TEST_F(GolfRun, TheByteTableIsComparedWithTheTokenizer) {
  const std::string model = Path("t.model"), other = Path("other.model"), log = Path("table.jsonl");
  std::ofstream(other, std::ios::binary) << MadeUpModel("x");
  EXPECT_THAT(Run(Path("tok.ptz") + " " + Path("val_0.bin") + " --plain").out,
              HasSubstr("not checked against a tokenizer"));
  const ProgramOutput run = Run(Path("tok.ptz") + " '" + Path("val_*.bin") +
                                "' --plain --tokenizer " + model + " --json --audit " + log);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(json::parse(run.out)["tokenizer_checked"], true);
  const ProgramOutput checked = Verify(log, "--tokenizer " + model, "tok.ptz");
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_THAT(checked.out, testing::Not(HasSubstr("not checked")));
  EXPECT_EQ(Verify(log, "--tokenizer " + other, "tok.ptz").exit_code, 4);

  // A table that counts twice the bytes, in an artifact whose hashes are sound.
  TokenizerInfo forged = *ReadTokenizerInfo(model);
  for (uint16_t& bytes : forged.byte_table.bytes) bytes = static_cast<uint16_t>(2 * bytes);
  WriteWithTokenizer(Path("net.ptz"), Path("forged.ptz"), forged);
  const auto inspect = [](const std::string& arguments) {
    return test::RunProgram("golf-inspect", arguments, folder_);
  };
  for (const std::string& tokenizer : {model, other}) {
    const ProgramOutput scored =
        Run(Path("forged.ptz") + " " + Path("val_0.bin") + " --tokenizer " + tokenizer);
    EXPECT_EQ(scored.exit_code, 4);
    EXPECT_THAT(scored.err, HasSubstr("the byte table is not that of " + tokenizer));
    EXPECT_EQ(inspect(Path("forged.ptz") + " --verify --tokenizer " + tokenizer).exit_code, 4);
    EXPECT_EQ(test::RunProgram("golf-pack",
                               "--check " + Path("forged.ptz") +
                                   " --max-bytes 16000000 --tokenizer " + tokenizer,
                               folder_)
                  .exit_code,
              4);
  }
  EXPECT_EQ(inspect(Path("tok.ptz") + " --verify --tokenizer " + model).exit_code, 0);
  EXPECT_THAT(inspect(Path("tok.ptz") + " --verify").out,
              HasSubstr("not checked against a tokenizer"));
  EXPECT_THAT(
      test::RunProgram("golf-pack", "--check " + Path("tok.ptz") + " --max-bytes 16000000", folder_)
          .out,
      HasSubstr("not checked against a tokenizer"));
}

TEST_F(GolfRun, RefusesBytesForABoundaryPiece) {
  TokenizerInfo forged{std::string(64, '7'), test::MadeUpBytes()};
  forged.byte_table.bytes[1] = 3;
  WriteWithTokenizer(Path("net.ptz"), Path("boundary.ptz"), forged);
  const ProgramOutput output = Run(Path("boundary.ptz") + " " + Path("val_0.bin") + " --plain");
  EXPECT_EQ(output.exit_code, 4);
  EXPECT_THAT(output.err, HasSubstr("counts bytes for piece 1, which is a boundary"));
}

TEST_F(GolfRun, ARerunGivesTheSameLogLineByLine) {
  for (const std::string flags : {"--stride 16", "--plain --precision bf16",
                                  "--stride 16 --protocol reference --limit-tokens 400",
                                  "--stride 16 --protocol reference-all"}) {
    for (const std::string& ttt : {std::string(), kTtt + std::string(" --ttt-preset slot"),
                                   kTtt + std::string(" --ttt-micro-batch 2")}) {
      if (flags.ends_with("-all") && !ttt.empty()) continue;
      const std::string log = Path("rerun.jsonl");
      RunJson(flags + ttt + " --force --audit " + log);
      const ProgramOutput rerun = Verify(log, "--rerun");
      EXPECT_EQ(rerun.exit_code, 0) << flags << ttt << rerun.err;
      EXPECT_THAT(rerun.out, HasSubstr("recomputed"));
      const ProgramOutput sample = Verify(log, "--rerun-sample 7 --json");
      EXPECT_EQ(sample.exit_code, 0) << flags << ttt << sample.err;
      const json report = json::parse(sample.out);
      EXPECT_EQ(report["scores"], "recomputed in part");
      EXPECT_GE(report["windows_recomputed"], 1);
    }
  }
  EXPECT_EQ(Verify(Path("rerun.jsonl"), "--rerun --rerun-sample 3").exit_code, 2);
  EXPECT_EQ(test::RunProgram("golf-inspect", "verify " + Path("rerun.jsonl") + " --rerun", folder_)
                .exit_code,
            2);
}

// What only a rerun tells (forgery_test.cpp), it does tell.
TEST_F(GolfRun, ARerunTellsForgedScoresAndSettings) {
  const std::string log = Path("honest.jsonl"), forged = Path("forged.jsonl");
  RunJson("--stride 16 --audit " + log + kTtt + std::string(" --ttt-batch 3"));
  struct Forgery {
    const char *record, *field;
    json value;
    int code;
  };
  const std::vector<Forgery> forgeries = {
      {"score", "/nll_nats", 100.0, 4},
      {"train", "/first_loss_nats", 1.0, 4},
      {"train", "/last_loss_nats", 1.0, 4},
      {"train", "/weights_xxh3", "0123456789abcdef", 4},
      {"header", "/precision", "bf16", 4},
      {"header", "/ttt/momentum", 0.5, 4},
      {"header", "/ttt/weight_decay", 0.1, 4},
      {"header", "/ttt/clip_norm", 0.01, 4},
      {"header", "/ttt/trainable", json::array({"-*", "+blocks.-1.*"}), 4},
      {"header", "/ttt/bf16_weights", json::array({"tok_emb.weight"}), 4},
      {"header", "/kernels", "none", 6},
      {"header", "/processes", 2, 2},
  };
  for (const Forgery& forgery : forgeries) {
    test::ForgeLog(log, forged, forgery.record, forgery.field, forgery.value);
    ASSERT_EQ(Verify(forged).exit_code, 0) << forgery.field << Verify(forged).err;
    const ProgramOutput rerun = Verify(forged, "--rerun");
    EXPECT_EQ(rerun.exit_code, forgery.code) << forgery.field << rerun.err;
    if (forgery.code != 4) continue;
    EXPECT_THAT(rerun.err, HasSubstr("the rerun gives")) << forgery.field;
  }
  test::ForgeLog(log, forged, "score", "/nll_nats", 100.0);
  EXPECT_EQ(Verify(forged, "--rerun-sample 1000").exit_code, 4);
}

TEST_F(GolfRun, EvidenceIsNotReplacedUnlessForced) {
  const std::string log = Path("kept.jsonl"), receipt = Path("kept.json");
  const std::string run = Path("net.ptz") + " " + Path("val_0.bin") + " --plain --quiet";
  std::ofstream(log) << "precious";
  std::ofstream(receipt) << "precious";
  const auto read = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  for (const std::string& flags : {" --audit " + log, " --receipt " + receipt}) {
    const ProgramOutput output = Run(run + flags);
    EXPECT_EQ(output.exit_code, 2);
    EXPECT_THAT(output.err, HasSubstr("is there already"));
    EXPECT_EQ(output.out, "");
  }
  EXPECT_EQ(read(log), "precious");
  EXPECT_EQ(read(receipt), "precious");
  EXPECT_EQ(Run(run + " --force --audit " + log + " --receipt " + receipt).exit_code, 0);
  EXPECT_THAT(read(log), HasSubstr("golf-audit"));
  EXPECT_THAT(read(receipt), HasSubstr("golf-receipt"));
}

TEST_F(GolfRun, ASecondWriterOfALogIsExitCode8) {
  const std::string log = Path("locked.jsonl");
  const auto first = AuditLog::Create(log, {});
  ASSERT_TRUE(first.ok());
  for (const char* force : {"", " --force"}) {
    const ProgramOutput output =
        Run(Path("net.ptz") + " " + Path("val_0.bin") + " --plain --quiet --audit " + log + force);
    EXPECT_EQ(output.exit_code, 8) << output.err;
  }
}

TEST_F(GolfRun, SaysWhatIsWrong) {
  const std::string net = Path("net.ptz"), shard = Path("val_0.bin");
  const auto expect = [](const ProgramOutput& output, Code code, const char* message) {
    EXPECT_EQ(output.exit_code, static_cast<int>(code)) << output.err;
    EXPECT_THAT(output.err, HasSubstr(message));
    EXPECT_EQ(output.out, "");
  };
  expect(Run(""), Code::kUsage, "required");
  expect(Run(net + " " + shard + " --stride 65"), Code::kUsage, "stride 65");
  expect(Run(net + " " + shard + " --ttt-preset pr1"), Code::kUsage, "pr1");
  expect(Run(net + " " + shard + " --ttt-chunk 32"), Code::kUsage, "chunk tokens");
  expect(Run(net + " " + shard + " --ttt-trainable=-nothing.*"), Code::kUsage, "matches no weight");
  expect(Run("/nonexistent.ptz " + shard), Code::kIo, "/nonexistent.ptz");
  expect(Run(net + " /nonexistent.bin"), Code::kIo, "/nonexistent.bin");
  expect(Run(shard + " " + shard), Code::kBadData, "val_0.bin");  // not an artifact
  expect(Run(net + " " + net), Code::kBadData, "net.ptz");        // not a shard
  expect(Run(net + " " + shard + " --audit /nonexistent/audit"), Code::kIo, "/nonexistent");
  expect(Run(net + " " + shard + " --ttt-lr 1e30 --stride 16 --ttt-chunk 128"), Code::kBadNumbers,
         "chunk 0, epoch 1");
}

// Neither a name nor a copy makes a text another one.
TEST_F(GolfRun, RefusesTheSameTextTwiceAndTextThatWasTrainedOn) {
  namespace fs = std::filesystem;
  const std::string net = Path("net.ptz") + " ", shard = Path("val_0.bin");
  const auto refused = [](const std::string& arguments, const std::string& message) {
    const ProgramOutput output = Run(arguments + " --plain --quiet");
    EXPECT_EQ(output.exit_code, 4) << output.err;
    EXPECT_THAT(output.err, HasSubstr(message));
    EXPECT_EQ(output.out, "");
  };
  fs::create_hard_link(shard, Path("hard.bin"));
  fs::create_symlink(shard, Path("soft.bin"));
  fs::copy_file(shard, Path("copy.bin"));
  for (const char* name : {"val_0.bin", "hard.bin", "soft.bin", "copy.bin"}) {
    refused(net + shard + " " + Path(name), Path(name) + ": the same text as " + shard);
  }
  refused(net + shard + " " + shard + " --check coverage", "the same text as " + shard);
  EXPECT_EQ(Run(net + shard + " " + shard + " --plain --quiet --limit-tokens 600").exit_code, 0)
      << "the second is not read";

  const auto program = BuildNetwork(test::SmallNetworkConfig(test::kVocab, 64));
  const TensorSet weights = test::RandomWeights(*program);
  const std::vector<ShardFacts> seen = {
      {"golf_train_000000.bin", *Sha256OfFile(Path("copy.bin")), 600}};
  test::WriteArtifact(Path("trained.ptz"), *program, test::Views(weights), test::MadeUpBytes(),
                      "pr668", 3, seen);
  test::WriteArtifact(Path("calibrated.ptz"), *program, test::Views(weights), test::MadeUpBytes(),
                      "pr668", 3, {}, seen);
  refused(Path("trained.ptz") + " " + Path("val_1.bin") + " " + shard,
          shard + ": the same text as golf_train_000000.bin, which the artifact was trained on");
  refused(Path("calibrated.ptz") + " " + shard, "which its codes were calibrated on");
  EXPECT_EQ(Run(Path("trained.ptz") + " " + Path("val_1.bin") + " --plain --quiet").exit_code, 0);
  const ProgramOutput inspected =
      test::RunProgram("golf-inspect", Path("trained.ptz") + " --json", folder_);
  EXPECT_EQ(json::parse(inspected.out)["provenance"]["training_shards"][0]["sha256"],
            seen[0].sha256);
}

TEST_F(GolfRun, AFolderMeansItsValidationShards) {
  namespace fs = std::filesystem;
  const std::string set = Path("set");
  fs::create_directory(set);
  fs::copy_file(Path("val_1.bin"), set + "/golf_train_000000.bin");
  fs::copy_file(Path("val_0.bin"), set + "/golf_val_000000.bin");
  const auto score = [](const std::string& shards) {
    const ProgramOutput output = Run(Path("net.ptz") + " " + shards + " --plain --json");
    EXPECT_EQ(output.exit_code, 0) << output.err;
    return json::parse(output.out, nullptr, false)["val_bpb"];
  };
  EXPECT_EQ(score(set), score(Path("val_0.bin")));
  const ProgramOutput mixed = Run(Path("net.ptz") + " '" + set + "/*.bin' --plain");
  EXPECT_EQ(mixed.exit_code, 2);
  EXPECT_THAT(mixed.err, HasSubstr("one text takes shards of one split"));
  const ProgramOutput other = Run(Path("net.ptz") + " " + set + "/golf_train_000000.bin --plain");
  EXPECT_EQ(other.exit_code, 0);
  EXPECT_THAT(other.err,
              HasSubstr("warning: " + set + "/golf_train_000000.bin is a training shard"));

  const auto describe = [&](char digit) {
    std::ofstream(set + "/dataset.json")
        << R"({"tokenizer": {"sha256": ")" << std::string(64, digit) << R"("}})";
  };
  describe('7');  // the artifact's
  EXPECT_EQ(score(set), score(Path("val_0.bin")));
  ASSERT_EQ(
      Run(Path("net.ptz") + " " + set + " --plain --quiet --audit " + Path("set.audit")).exit_code,
      0);
  describe('8');
  const ProgramOutput foreign = Run(Path("net.ptz") + " " + set + " --plain");
  EXPECT_EQ(foreign.exit_code, 4);
  EXPECT_THAT(foreign.err, HasSubstr("made with another tokenizer: " + set + "/dataset.json"));
  const ProgramOutput verified = test::RunProgram(
      "golf-inspect",
      "verify " + Path("set.audit") + " --artifact " + Path("net.ptz") + " --shards " + set,
      folder_);
  EXPECT_EQ(verified.exit_code, 4);
  EXPECT_THAT(verified.err, HasSubstr("made with another tokenizer"));
}

TEST_F(GolfRun, SaysWhatTestTimeTrainingDid) {
  const std::string run = Path("net.ptz") + " " + Path("val_0.bin") + " --plain --quiet ";
  const ProgramOutput none = Run(run + "--ttt");
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_THAT(none.err, HasSubstr("warning: test-time training makes no update"));
  EXPECT_THAT(none.err, HasSubstr("599 targets, a chunk 32,768"));
  EXPECT_THAT(none.out, HasSubstr("ttt       preset pr668: 0 updates in 0 of 1 chunks\n"));

  const std::string changed = "--ttt-preset pr598 --ttt-chunk 256 --ttt-epochs 2 --ttt-batch 3";
  const ProgramOutput some = Run(run + changed);
  EXPECT_THAT(some.err, testing::Not(HasSubstr("no update")));
  // Chunks of 256, 256 and 87 targets; the first two have 4 windows: 2 updates, 2 epochs.
  EXPECT_THAT(
      some.out,
      HasSubstr("ttt       preset pr598 with other settings: 8 updates in 2 of 3 chunks\n"));
  const ProgramOutput output = Run(run + changed + " --json");
  const json receipt = json::parse(output.out);
  EXPECT_EQ(receipt["ttt"]["preset"], "pr598");
  EXPECT_EQ(receipt["adaptation"], (json{{"chunks", 3}, {"trained_chunks", 2}, {"updates", 8}}));
  EXPECT_TRUE(json::parse(Run(run + "--json").out)["adaptation"].is_null());
}

TEST_F(GolfRun, AnEvaluationThatTakesTooLongIsScoredStillAndFailsUnlessToldToWarn) {
  const auto run = [](const std::string& flags) {
    return Run(Path("net.ptz") + " " + Path("val_0.bin") + " --plain --quiet --force --receipt " +
               Path("late.json") + " " + flags);
  };
  const auto receipt = [] {
    std::ifstream file(Path("late.json"));
    return json::parse(file);
  };
  EXPECT_EQ(run("").exit_code, 0);
  const json score = receipt()["nll_sum_nats"];
  EXPECT_TRUE(receipt()["eval"]["over_time"].is_null());
  EXPECT_EQ(run("--max-eval-seconds 3600").exit_code, 0);
  EXPECT_EQ(receipt()["eval"]["over_time"], false);
  for (const auto& [over_time, code] :
       {std::pair{"fail", Code::kOverBudget}, {"warn", Code::kOk}}) {
    const ProgramOutput late = run(std::string("--max-eval-seconds 1e-6 --over-time ") + over_time);
    EXPECT_EQ(late.exit_code, static_cast<int>(code)) << late.err;
    EXPECT_THAT(late.err, HasSubstr("warning: --max-eval-seconds 1e-06 is exceeded"));
    EXPECT_THAT(late.err, HasSubstr("the evaluation took"));
    EXPECT_THAT(late.out, HasSubstr("bits per byte"));
    EXPECT_EQ(receipt()["eval"]["over_time"], true);
    EXPECT_EQ(receipt()["nll_sum_nats"], score);
  }
}

TEST_F(GolfRun, ChecksPassWithTrainingOn) {
  const json report =
      RunJson(std::string("--stride 16 --threads 1 --check all --check-samples 4") + kTtt);
  EXPECT_EQ(report["format"], "golf-checks");
  EXPECT_EQ(report["passed"], true);
  EXPECT_EQ(report["target_tokens"], 1000);
  EXPECT_EQ(report["ttt"]["chunk_tokens"], 256);
  ASSERT_EQ(report["checks"].size(), 4U);
  EXPECT_EQ(report["checks"][0]["check"], "causality");
  EXPECT_EQ(report["checks"][1]["places"], 4);
  EXPECT_LE(report["checks"][2]["worst"].get<double>(), 1e-5);
  EXPECT_EQ(report["checks"][3]["compared"], 1000);
  for (const json& check : report["checks"]) EXPECT_EQ(check["violations"], 0);
}

TEST_F(GolfRun, ACheckThatFailsIsExitCode4) {
  const std::string command =
      Path("net.ptz") + " " + Path("val_0.bin") +
      " --stride 16 --threads 1 --protocol reference --check coverage --check normalisation";
  const ProgramOutput text = Run(command);
  EXPECT_EQ(text.exit_code, static_cast<int>(Code::kBadData));
  EXPECT_THAT(text.out, HasSubstr("normalisation  passed"));
  EXPECT_THAT(text.out, HasSubstr("coverage       FAILED"));
  EXPECT_THAT(text.out, HasSubstr("is scored more than once"));
  EXPECT_THAT(text.err, HasSubstr("coverage did not pass"));
  const ProgramOutput output = Run(command + " --json");
  EXPECT_EQ(output.exit_code, static_cast<int>(Code::kBadData));
  const json report = json::parse(output.out);
  EXPECT_EQ(report["passed"], false);
  EXPECT_EQ(report["checks"][0]["passed"], true);
  EXPECT_EQ(report["checks"][1]["passed"], false);
}

TEST_F(GolfRun, PrintsThePlan) {
  const ProgramOutput output =
      Run(Path("net.ptz") + " " + Path("val_0.bin") + " --stride 16 --print-plan");
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("final_norm"));
}

TEST_F(GolfRun, LinksNoTrainerNoTokenizerNoInterpreter) {
  const std::string program = std::string(GOLF_BIN_DIR) + "/golf-run";
  const auto run = [](const std::string& command) {
    const ProgramOutput output =
        test::RunProgram("golf-run", "--version >/dev/null; " + command, folder_);
    EXPECT_EQ(output.exit_code, 0) << command << output.err;
    return output.out;
  };
  const std::string libraries = run("ldd " + program);
  EXPECT_THAT(libraries, HasSubstr("libc.so"));
  for (const char* name : {"sentencepiece", "protobuf", "python", "mpi", "nccl", "toml"}) {
    EXPECT_THAT(libraries, testing::Not(HasSubstr(name)));
  }
  const std::string symbols = run("nm -C " + program);
  EXPECT_THAT(symbols, HasSubstr("golf::Evaluate"));
  for (const char* name :
       {"golf::BuildNetwork", "golf::Quantise(", "golf::EncodeTensors", "golf::SerialiseArtifact",
        "golf::Muon", "golf::Trainer", "sentencepiece", "ZSTD_compress2"}) {
    EXPECT_THAT(symbols, testing::Not(HasSubstr(name))) << name;
  }
}

// The network of PR 598, 27 million weights, with codes that compress as badly as random ones do.
TEST_F(GolfRun, StartsAFullNetworkWithinASecond) {
  NetworkConfig config;
  const auto program = BuildNetwork(config);
  const TensorSet weights = test::RandomWeights(*program);
  EXPECT_EQ(weights.parameter_count(), 27'030'108U);
  ByteTable bytes;
  bytes.bytes.assign(config.vocab_size, 1);
  bytes.leading_space.assign(config.vocab_size, 0);
  bytes.boundary.assign(config.vocab_size, 0);
  test::WriteArtifact(Path("full.ptz"), *program, test::Views(weights), bytes, "pr668", 1);
  const ProgramOutput output =
      Run(Path("full.ptz") + " " + Path("val_0.bin") + " --limit-tokens 300 --json");
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const json receipt = json::parse(output.out);
  std::printf("%.1f million bytes: first window after %.3f s\n",
              receipt["artifact_bytes"].get<double>() / 1e6,
              receipt["eval"]["startup_seconds"].get<double>());
  if (std::getenv("GOLF_CPU") == nullptr) {  // with the processor's own kernels
    EXPECT_LT(receipt["eval"]["startup_seconds"].get<double>(), 1.0);
  }
}

}  // namespace
}  // namespace golf
