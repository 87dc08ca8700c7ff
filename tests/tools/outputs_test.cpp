// What the programs do with their outputs: none lands on an input, none replaces a file of somebody
// else, what cannot be written is said before the work, and lost output is an exit code. Names from
// outside do no harm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "artifact/artifact.h"
#include "artifact/artifact_write.h"
#include "artifact/checkpoint.h"
#include "artifact/file.h"
#include "kernels/base/printable.h"
#include "tests/faults/small_run.h"

namespace golf::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void ExpectPrintableLines(const std::string& text, const std::string& whose) {
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    EXPECT_EQ(Printable(line), line) << Printable(whose);
  }
}

class Programs : public testing::Test {
 protected:
  static void SetUpTestSuite() { run_ = std::make_unique<SmallRun>(); }
  static void TearDownTestSuite() { run_.reset(); }

  Programs() {
    fs::remove_all(*run_ / "work");
    fs::create_directory(*run_ / "work");
    for (const auto& [from, to] :
         {std::pair(model_, "work/model.ptz"), std::pair(val_, "work/val.bin"),
          std::pair(checkpoint_, "work/a.ckpt"), std::pair(tokenizer_, "work/tok.model")})
      fs::copy(from, *run_ / to);
  }
  // In the folder of the test, which holds model.ptz, val.bin, a.ckpt and tok.model.
  static Outcome In(const std::string& command) {
    return Shell("cd " + (*run_ / "work") + " && " + command);
  }
  static std::string Path(const std::string& name) { return *run_ / ("work/" + name); }
  static std::string Train(const std::string& out) {
    return run_->Train("work/" + out) + " --max-train-seconds 1000";
  }
  static size_t Checkpoints(const std::string& folder) {
    size_t whole = 0;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(Path(folder), none)) {
      whole += entry.path().extension() == ".ckpt" && Checkpoint::Open(entry.path().string()).ok();
    }
    return whole;
  }

  static std::unique_ptr<SmallRun> run_;
  const std::string model_ = *run_ / "model.ptz", val_ = *run_ / "data/golf_val_000000.bin",
                    checkpoint_ = *run_ / "start/step-00000002.ckpt",
                    tokenizer_ = *run_ / "data/tokenizer.model";
  const std::string score_ = "golf-run --quiet --threads 1 --stride 4 --limit-tokens 100 ";
  const std::string pack_ = "golf-pack --quiet --preset pr668 --level 3 --threads 1 ";
};

std::unique_ptr<SmallRun> Programs::run_;

TEST_F(Programs, NeverWriteOntoAnInputOrAnotherOutput) {
  fs::create_symlink("val.bin", Path("link"));
  fs::create_hard_link(Path("model.ptz"), Path("hard"));
  fs::create_symlink("new", Path("to_new"));
  fs::copy(*run_ / "tiny.toml", Path("tiny.toml"));
  fs::copy(*run_ / "text.txt", Path("text.txt"));
  fs::create_directory(Path("data"));
  fs::copy(val_, Path("data/golf_val_000000.bin"));
  fs::copy(tokenizer_, Path("data/tokenizer.model"));
  const std::string train = Train("out") + " --recipe tiny.toml";
  const std::string commands[] = {
      score_ + "model.ptz val.bin --receipt model.ptz",
      score_ + "model.ptz val.bin --receipt ./val.bin",
      score_ + "model.ptz val.bin --receipt link",
      score_ + "model.ptz val.bin --audit hard",
      score_ + "model.ptz 'v*.bin' --audit val.bin",
      score_ + "model.ptz data --receipt data/golf_val_000000.bin",
      score_ + "model.ptz data --receipt data/tokenizer.model",
      score_ + "model.ptz val.bin --code tiny.toml --receipt tiny.toml",
      score_ + "model.ptz val.bin --audit new --receipt ../work/new",
      score_ + "model.ptz val.bin --audit new --receipt to_new",
      score_ + "model.ptz val.bin >>val.bin",
      score_ + "model.ptz val.bin --receipt new >new",
      pack_ + "a.ckpt -o a.ckpt",
      pack_ + "a.ckpt -o text.txt --code text.txt",
      pack_ + "a.ckpt -o val.bin --calibrate val.bin --calibrate-windows 2",
      pack_ + "a.ckpt -o new --calibrate self --calibrate-windows 2 --save-hessians new",
      pack_ + "a.ckpt -o new --calibrate self --calibrate-windows 2 --save-hessians a.ckpt",
      "golf-inspect model.ptz --export hard",
      "golf-inspect a.ckpt --export a.ckpt",
      train + " --data val.bin --export val.bin",
      train + " --tokenizer tok.model --export tok.model",
      train + " --export new --save-hessians new",
      train + " --export out/log.jsonl",
      train + " --export out/../out/step-00000001.ckpt",
      "golf-train --recipe tiny.toml --data val.bin --out out2 --export tiny.toml",
      "golf-data train-tokenizer --quiet --vocab-size 300 text.txt --output text.txt",
  };
  const auto content = [&] {
    std::string all;
    for (const char* name : {"model.ptz", "val.bin", "a.ckpt", "tok.model", "tiny.toml", "text.txt",
                             "data/golf_val_000000.bin", "data/tokenizer.model"})
      all += ReadAll(Path(name));
    return all;
  };
  const std::string before = content();
  for (const std::string& command : commands) {
    const Outcome outcome = In(command);
    EXPECT_EQ(outcome.code, 2) << command << "\n" << outcome.text;
    EXPECT_TRUE(content() == before) << command;
    fs::remove(Path("new"));
  }
  EXPECT_EQ(Checkpoints("out"), 0U);
}

TEST_F(Programs, SayBeforeTheWorkThatAnOutputCannotBeWritten) {
  fs::create_directory(Path("folder"));
  const std::string long_name(256, 'x');
  for (const std::string& bad : {std::string("missing/x"), std::string("folder"), long_name}) {
    for (const std::string& command :
         {score_ + "model.ptz val.bin --receipt " + bad,
          score_ + "model.ptz val.bin --audit " + bad, pack_ + "a.ckpt -o " + bad,
          "golf-inspect model.ptz --export " + bad, Train("out") + " --export " + bad,
          Train("out") + " --save-hessians " + bad,
          "golf-data train-tokenizer --quiet ../text.txt --vocab-size 300 --output " + bad}) {
      const Outcome outcome = In(command);
      EXPECT_EQ(outcome.code, 3) << command << "\n" << outcome.text;
      EXPECT_THAT(outcome.text, testing::Not(HasSubstr("bpb"))) << command;
    }
  }
  EXPECT_EQ(Checkpoints("out"), 0U);
}

TEST_F(Programs, PrintTheResultIfWritingItFailsLater) {
  const Outcome scored = In(score_ + "model.ptz val.bin --receipt /dev/full");
  EXPECT_EQ(scored.code, 3);
  EXPECT_THAT(scored.text, HasSubstr("bpb  "));
  EXPECT_THAT(scored.text, HasSubstr("/dev/full: cannot write: No space left"));
  // The audit log may have 8 blocks of 512 or 1,024 bytes, which its header does not fill.
  const Outcome limited =
      In("(ulimit -f 8; golf-run --quiet --threads 1 --limit-tokens 300 model.ptz val.bin --ttt "
         "--ttt-chunk 16 --ttt-epochs 1 --ttt-batch 1 --stride 4 --audit log --receipt receipt)");
  EXPECT_EQ(limited.code, 3) << limited.text;
  EXPECT_THAT(limited.text, HasSubstr("bpb  "));
  EXPECT_THAT(limited.text, HasSubstr("File too large; the run goes on to its score"));
  EXPECT_TRUE(nlohmann::json::parse(ReadAll(Path("receipt"))).at("audit_head_sha256").is_null());
  const Outcome packed = In(pack_ + "a.ckpt -o /dev/full");
  EXPECT_EQ(packed.code, 3);
  EXPECT_THAT(packed.text, HasSubstr("packed in "));
  EXPECT_THAT(packed.text, testing::Not(HasSubstr("written to")));
  const Outcome inspected = In("golf-inspect model.ptz --export /dev/full");
  EXPECT_EQ(inspected.code, 3);
  EXPECT_THAT(inspected.text, HasSubstr("sha256"));
  const Outcome trained = In(Train("out") + " --save-hessians /dev/full --calibrate-windows 2");
  EXPECT_EQ(trained.code, 3);
  EXPECT_THAT(trained.text, HasSubstr("validation of the raw weights"));
  EXPECT_EQ(Checkpoints("out"), 1U);
}

TEST_F(Programs, WriteToDevicesThroughLinksAndUnderLongNames) {
  const Outcome printed = In(score_ + "--json model.ptz val.bin --receipt /dev/stdout >both");
  EXPECT_EQ(printed.code, 0) << printed.text;
  const std::string both = ReadAll(Path("both"));
  EXPECT_EQ(both.substr(0, both.size() / 2), both.substr(both.size() / 2));
  EXPECT_TRUE(nlohmann::json::accept(both.substr(0, both.size() / 2)));
  EXPECT_EQ(In(score_ + "model.ptz val.bin --receipt /dev/stdout | grep -c golf-receipt").text,
            "1\n");
  EXPECT_EQ(In(score_ + "model.ptz val.bin --receipt /dev/fd/3 3>three").code, 0);
  EXPECT_TRUE(nlohmann::json::accept(ReadAll(Path("three"))));
  EXPECT_EQ(In(pack_ + "a.ckpt -o /dev/null").code, 0);
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  for (const size_t length : {243U, 250U, 255U}) {
    const std::string name(length, 'n');
    EXPECT_EQ(In(score_ + "model.ptz val.bin --receipt " + name).code, 0);
    EXPECT_TRUE(nlohmann::json::accept(ReadAll(Path(name))));
  }
  fs::create_directory(Path("elsewhere"));
  fs::create_symlink("elsewhere/target", Path("link"));
  EXPECT_EQ(In(pack_ + "a.ckpt -o link").code, 0);
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_EQ(In("golf-inspect elsewhere/target --verify").code, 0);
}

TEST_F(Programs, LeaveFilesOfOthersAlone) {
  for (const char* name : {"new.ptz.partial", "receipt.partial", "weights.partial"})
    std::ofstream(Path(name)) << "theirs";
  EXPECT_EQ(In(pack_ + "a.ckpt -o new.ptz").code, 0);
  EXPECT_EQ(In(score_ + "model.ptz val.bin --receipt receipt").code, 0);
  EXPECT_EQ(In("golf-inspect model.ptz --export weights").code, 0);
  const std::vector<std::string> foreign = {"notes.partial",       "step-00000001.ckpt.partial",
                                            "step-1.ckpt",         "step-best.ckpt",
                                            "step-x.ckpt.damaged", "events.out.tfevents.1.host"};
  fs::create_directory(Path("out"));
  for (const std::string& name : foreign) std::ofstream(Path("out/" + name)) << "theirs";
  const std::string train = Train("out") + " --checkpoint-every 1 --keep 1";
  EXPECT_EQ(In(train + " --steps 2").code, 0);
  EXPECT_EQ(In(train + " --resume").code, 0);
  EXPECT_EQ(In(train + " --fresh").code, 0);
  EXPECT_EQ(Checkpoints("out"), 1U);
  for (const std::string& name : foreign) EXPECT_EQ(ReadAll(Path("out/" + name)), "theirs") << name;
  // A name of ours with another content stops a new run; the file stays.
  for (const char* name : {"step-00000007.ckpt", "log.jsonl"}) {
    fs::remove_all(Path("out"));
    fs::create_directory(Path("out"));
    std::ofstream(Path("out/") + name) << "their file";
    for (const char* mode : {"", " --fresh"}) {
      const Outcome outcome = In(train + mode);
      EXPECT_EQ(outcome.code, 2) << outcome.text;
      EXPECT_THAT(outcome.text, HasSubstr(std::string(name) + " is in the way"));
      EXPECT_EQ(ReadAll(Path("out/") + name), "their file");
    }
  }
}

TEST_F(Programs, EndWithThreeWhereOutputDoesNotArrive) {
  for (const char* redirection : {" >/dev/full", " >&-", " >&- 2>&-"}) {
    for (const std::string program :
         {"golf-data", "golf-train", "golf-pack", "golf-run", "golf-inspect"}) {
      EXPECT_EQ(In(program + " --help" + redirection).code, 3) << program << redirection;
      EXPECT_EQ(In(program + " --version" + redirection).code, 3) << program << redirection;
    }
    const std::string commands[] = {
        score_ + "model.ptz val.bin",
        score_ + "model.ptz val.bin --print-plan",
        score_ + "model.ptz val.bin --check coverage",
        score_ + "--json model.ptz val.bin",
        pack_ + "a.ckpt --dry-run",
        pack_ + "--check model.ptz --max-bytes 10000000",
        "golf-inspect a.ckpt",
        "golf-inspect --json model.ptz",
        "golf-data check " + val_,
        "golf-train --recipe nano --print-recipe",
        Train("dry") + " --dry-run",
    };
    for (const std::string& command : commands)
      EXPECT_EQ(In(command + redirection).code, 3) << command << redirection;
  }
  const Outcome piped = In("{ golf-inspect a.ckpt; echo $? >code; } | true");
  EXPECT_EQ(ReadAll(Path("code")), "3\n") << piped.text;
  EXPECT_EQ(In("golf-run --no-such-flag 2>/dev/full").code, 2);
  EXPECT_EQ(In(score_ + "val.bin val.bin >&- 2>&-").code, 4);
  EXPECT_EQ(In(score_ + "model.ptz val.bin 2>&-").code, 0);  // nothing was said
}

TEST_F(Programs, TrainOnWithoutAnyStream) {
  int i = 0;
  for (const char* redirection : {" 2>/dev/full", " >/dev/full 2>/dev/full", " >&- 2>&- <&-"}) {
    const std::string out = std::string("out").append(std::to_string(i++));
    std::string loud = Train(out) + redirection;
    loud.replace(loud.find(" --quiet"), 8, "");
    EXPECT_EQ(In(loud).code, 3) << redirection;
    EXPECT_EQ(Checkpoints(out), 1U) << redirection;
    EXPECT_THAT(ReadAll(Path(out + "/log.jsonl")), testing::StartsWith("{\"event\":\"start\""));
  }
}

TEST_F(Programs, TakeAnyNameAndPrintNoControls) {
  const std::string evil =
      "e\xe9\x1b[31m\n\xc2\x9b"
      "2J\xe2\x80\xae";  // quoted below
  const auto quoted = [](const std::string& name) { return "'" + name + "'"; };
  for (const auto& [from, to] :
       {std::pair("model.ptz", ".ptz"), std::pair("val.bin", ".bin"), std::pair("a.ckpt", ".ckpt")})
    fs::copy(Path(from), Path(evil + to));
  const std::string out = quoted(evil + "_out");
  std::string train = run_->Train("work/" + out);
  train.replace(train.find(" --quiet"), 8, "");
  const std::string commands[] = {
      score_ + quoted(evil + ".ptz") + " " + quoted(evil + ".bin") + " --json --audit " +
          quoted(evil + ".audit") + " --receipt " + quoted(evil + ".receipt") + " --code " +
          quoted(evil + ".bin"),
      "golf-inspect --verify " + quoted(evil + ".ptz") + " --code " + quoted(evil + ".bin"),
      "golf-inspect --json " + quoted(evil + ".ptz"),
      "golf-inspect " + quoted(evil + ".ckpt"),
      "golf-inspect --json " + quoted(evil + ".ckpt"),
      pack_ + quoted(evil + ".ckpt") + " -o " + quoted(evil + "2.ptz") + " --code " +
          quoted(evil + ".bin"),
      pack_ + quoted(evil + ".ckpt") + " --json --dry-run --code " + quoted(evil + ".bin"),
      "golf-data check " + quoted(evil + ".bin"),
      "golf-data describe --json " + quoted(evil + ".bin"),
      train,
      train + " --resume --json",
  };
  for (const std::string& command : commands) {
    const Outcome outcome = In(command);
    EXPECT_EQ(outcome.code, 0) << Printable(command) << "\n" << outcome.text;
    ExpectPrintableLines(outcome.text, command);
  }
  for (const std::string program :
       {"golf-inspect ", "golf-run x ", "golf-pack -o x ", "golf-data check "}) {
    const Outcome outcome = In(program + quoted(evil + ".missing"));
    EXPECT_EQ(outcome.code, 3) << outcome.text;
    ExpectPrintableLines(outcome.text, program);
  }
}

TEST_F(Programs, EscapeWhatAFileSaysOfItself) {
  const std::string evil = "\x1b]0;title\x07\u009b2J\nforged\u202e";
  const Result<Artifact> artifact = Artifact::Read(model_);
  ASSERT_TRUE(artifact.ok());
  const std::vector<uint8_t> forged =
      SerialiseArtifact({artifact->program_bytes(), artifact->tokenizer(),
                         Provenance{evil, evil, evil, 1}, artifact->encoded()},
                        3);
  ASSERT_TRUE(WriteFileAtomically(Path("forged.ptz"), forged).ok());
  const Result<Checkpoint> checkpoint = Checkpoint::Open(checkpoint_);
  ASSERT_TRUE(checkpoint.ok());
  CheckpointContents contents = checkpoint->contents();
  contents.integers[evil] = 7;
  ASSERT_TRUE(WriteCheckpoint(Path("forged.ckpt"), contents).ok());
  for (const char* file : {"forged.ptz", "forged.ckpt"}) {
    for (const char* json : {"", " --json"}) {
      const Outcome outcome = In(std::string("golf-inspect ") + file + json);
      EXPECT_EQ(outcome.code, 0) << outcome.text;
      EXPECT_THAT(outcome.text, HasSubstr("title"));
      ExpectPrintableLines(outcome.text, file);
    }
  }
}

// "step tag" of every event in the folder (steps below 128; the first tag of each event).
std::vector<std::string> EventsIn(const std::string& folder) {
  std::vector<std::string> events;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".golf") continue;
    const std::string file = ReadAll(entry.path().string());
    for (size_t at = 0; at < file.size();) {
      uint64_t size = 0;
      std::memcpy(&size, file.data() + at, sizeof size);
      const std::string event = file.substr(at + 12, size);
      const size_t name = std::min(event.find("train/"), event.find("validation_"));
      if (name != std::string::npos)
        events.push_back(std::to_string(event[10]) +
                         event.substr(name, event.find("/loss") - name));
      at += 12 + size + 4;
    }
  }
  return events;
}

TEST_F(Programs, RepeatNoStepInTensorBoardAfterResuming) {
  const std::string train = Train("out") + " --set validation.every=1 --checkpoint-every 2";
  ASSERT_EQ(In(train).code, 0);
  const std::vector<std::string> whole = EventsIn(Path("out"));
  EXPECT_GT(whole.size(), 8U);
  fs::remove(Path("out/step-00000004.ckpt"));  // as if killed before it was written
  ASSERT_EQ(In(train + " --resume").code, 0);
  EXPECT_THAT(EventsIn(Path("out")), testing::UnorderedElementsAreArray(whole));
}

TEST_F(Programs, RefuseForgedJson) {
  fs::create_directory(Path("data"));
  fs::copy(val_, Path("data/golf_val_000000.bin"));
  for (const std::string& forged :
       {std::string("{"), std::string("[]"), std::string("7"), std::string(100000, '['),
        std::string(R"({"tokenizer": 1, "val": {"shards": 5}})"),
        std::string(R"({"content_hash": 5, "seconds": [], "calibration_seconds": "x"})"),
        std::string(
            R"({"val": {"shards": [{"file": 1, "sha256": {}}]}, "tokenizer": {"sha256": 1}})"),
        std::string("{\"\xff\": \"\x1b\"}")}) {
    std::ofstream(Path("data/dataset.json")) << forged;
    const Outcome checked = In("golf-data check data --tokenizer tok.model");
    EXPECT_EQ(checked.code, 4) << forged.substr(0, 80) << checked.text;
    const Outcome packing = In(score_ + "model.ptz val.bin --packing data/dataset.json");
    EXPECT_EQ(packing.code, 4) << forged.substr(0, 80) << packing.text;
  }
  const std::string header =
      R"({"a\u001b[31m": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  std::ofstream(Path("x.safetensors"), std::ios::binary) << file << header << "1234";
  const Outcome outcome =
      In(pack_ + "x.safetensors --recipe ../tiny.toml --tokenizer tok.model -o x.ptz");
  EXPECT_EQ(outcome.code, 4) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("a\\x1b[31m"));
}

}  // namespace
}  // namespace golf::test
