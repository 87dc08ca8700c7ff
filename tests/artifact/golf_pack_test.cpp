// golf-pack and golf-inspect as programs: a checkpoint in, an artifact within its budget out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "artifact/artifact.h"
#include "artifact/checkpoint.h"
#include "artifact/safetensors.h"
#include "artifact/sha256.h"
#include "artifact/shard_facts.h"
#include "artifact/token_shard.h"
#include "runtime/program.h"
#include "runtime/weights.h"
#include "schemas/program_generated.h"
#include "tests/support/temp_folder.h"
#include "trainer/network.h"
#include "trainer/recipe.h"

namespace golf::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

struct Outcome {
  int code;
  std::string text;  // stdout, or all of it if the command says 2>&1
};

Outcome Shell(const std::string& command) {
  Outcome outcome{0, ""};
  FILE* pipe = popen((std::string("PATH=" GOLF_BIN_DIR ":$PATH; ") + command).c_str(), "r");
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    outcome.text.append(buffer.data(), n);
  outcome.code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

class GolfPack : public testing::Test {
 protected:
  static constexpr uint32_t kPieces = 260;

  GolfPack() {
    const auto recipe = LoadRecipe("nano", Overrides());
    EXPECT_TRUE(recipe.ok()) << recipe.status().message();
    const auto program = BuildNetwork(recipe->network);
    weights_ = TensorSet(*program);
    average_ = weights_.SameLayout();
    std::mt19937 random(3);
    std::normal_distribution<float> normal(0.0F, 0.3F);
    for (float& w : weights_.all()) w = normal(random);
    for (float& w : average_.all()) w = normal(random);
    program_ = SerialiseProgram(*program);

    std::string model;
    for (uint32_t i = 0; i < kPieces; ++i) {
      std::string text = std::to_string(i);
      text.insert(0, "piece");
      model += '\x0a';
      model += static_cast<char>(text.size() + 2);
      model += '\x0a';
      model += static_cast<char>(text.size());
      model += text;
    }
    tokenizer_ = folder_.Write("t.model", model);
    checkpoint_ = folder_ / "a.ckpt";
    CheckpointContents contents;
    contents.program = program_;
    contents.tokenizer = *ReadTokenizerInfo(tokenizer_);
    contents.groups = {{"weights", Views(weights_)}, {"ema", Views(average_)}};
    contents.integers["step"] = 42;
    contents.reals["elapsed_ms"] = 2500;
    EXPECT_TRUE(WriteCheckpoint(checkpoint_, contents).ok());
    safetensors_ = folder_ / "a.safetensors";
    EXPECT_TRUE(WriteSafetensors(safetensors_, Views(average_)).ok());
    output_ = folder_ / "a.ptz";
  }

  static std::vector<std::string> Overrides() {
    return {"network.vocab_size=" + std::to_string(kPieces), "network.num_layers=2",
            "network.ve_layers=[1]", "network.xsa_last_n=1"};
  }

  static std::vector<TensorView> Views(const TensorSet& set) {
    std::vector<TensorView> views;
    for (size_t i = 0; i < set.count(); ++i) views.push_back(set.view(i));
    return views;
  }

  std::string RecipeFlags() const {
    std::string flags = " --recipe nano --tokenizer " + tokenizer_;
    for (const std::string& o : Overrides()) flags += " --set '" + o + "'";
    return flags;
  }

  uint64_t PackedBytes() const {
    const Outcome o = Shell("golf-pack " + checkpoint_ + " --dry-run --level 3 --json");
    EXPECT_EQ(o.code, 0);
    return json::parse(o.text).at("artifact_bytes").get<uint64_t>();
  }

  TempFolder folder_;
  TensorSet weights_, average_;
  std::vector<uint8_t> program_;
  std::string tokenizer_, checkpoint_, safetensors_, output_;
};

TEST_F(GolfPack, FitsAtTheCapAndFailsOneByteBelowLeavingAnExistingFileAlone) {
  const std::string code = folder_.Write("code.py", std::string(1000, '#'));
  const uint64_t total = PackedBytes() + 1000;
  const std::string command =
      "golf-pack " + checkpoint_ + " --level 3 -o " + output_ + " --code " + code + " --max-bytes ";

  Outcome o = Shell(command + std::to_string(total - 1) + " 2>&1");
  EXPECT_EQ(o.code, 5);
  EXPECT_THAT(o.text, HasSubstr("1 over the budget"));
  EXPECT_THAT(o.text, HasSubstr("blocks.*.mlp.up_proj.weight"));
  EXPECT_FALSE(fs::exists(output_));
  EXPECT_FALSE(fs::exists(output_ + ".golf.partial"));

  folder_.Write("a.ptz", "precious");
  EXPECT_EQ(Shell(command + std::to_string(total - 1) + " 2>&1").code, 5);
  EXPECT_EQ(ReadAll(output_), "precious");

  o = Shell(command + std::to_string(total));
  EXPECT_EQ(o.code, 0) << o.text;
  EXPECT_EQ(fs::file_size(output_), total - 1000);
}

TEST_F(GolfPack, DryRunIsExactAndWritesNothing) {
  const Outcome dry = Shell("golf-pack " + checkpoint_ + " --dry-run --json -o " + output_);
  EXPECT_EQ(dry.code, 0);
  EXPECT_FALSE(fs::exists(output_));
  const json sizes = json::parse(dry.text);
  EXPECT_EQ(Shell("golf-pack " + checkpoint_ + " -o " + output_).code, 0);
  EXPECT_EQ(fs::file_size(output_), sizes.at("artifact_bytes").get<uint64_t>());
  uint64_t sum =
      sizes.at("description_bytes").get<uint64_t>() + sizes.at("envelope_bytes").get<uint64_t>();
  for (const json& t : sizes.at("tensors")) sum += t.at("bytes").get<uint64_t>();
  EXPECT_EQ(sum, fs::file_size(output_));
  EXPECT_EQ(sizes.at("content_hash"), Artifact::Read(output_)->content_hash());
  EXPECT_EQ(sizes.at("artifact_sha256"), *Sha256OfFile(output_));
  EXPECT_EQ(sizes.at("input_sha256"), *Sha256OfFile(checkpoint_));
}

// The hash that sha256sum prints, from every program.
TEST_F(GolfPack, AllProgramsPrintTheSameHash) {
  const Outcome pack = Shell("golf-pack " + checkpoint_ + " --level 1 -o " + output_);
  ASSERT_EQ(pack.code, 0) << pack.text;
  const std::string hash = "sha256 " + *Sha256OfFile(output_);
  EXPECT_THAT(pack.text, HasSubstr(hash));
  EXPECT_THAT(Shell("golf-pack --max-bytes 16000000 --check " + output_).text, HasSubstr(hash));
  EXPECT_THAT(Shell("golf-inspect " + output_).text, HasSubstr(hash));
  EXPECT_EQ(json::parse(Shell("golf-inspect --json " + output_).text).at("artifact_sha256"),
            *Sha256OfFile(output_));
}

TEST_F(GolfPack, ChecksAnArtifactForCi) {
  ASSERT_EQ(Shell("golf-pack " + checkpoint_ + " --level 1 -o " + output_).code, 0);
  const uint64_t bytes = fs::file_size(output_);
  const std::string command = "golf-pack --check " + output_ + " --max-bytes ";
  EXPECT_EQ(Shell(command + std::to_string(bytes)).code, 0);
  EXPECT_EQ(Shell(command + std::to_string(bytes - 1) + " 2>&1").code, 5);
  const std::string code = folder_.Write("c", "x");
  EXPECT_EQ(Shell(command + std::to_string(bytes) + " --code " + code + " 2>&1").code, 5);
  EXPECT_EQ(Shell(command + std::to_string(bytes + 1) + " --code " + code).code, 0);
  EXPECT_EQ(Shell("golf-pack --max-bytes 1 --check " + checkpoint_ + " 2>&1").code, 4);
}

TEST_F(GolfPack, SafetensorsGiveTheSameWeightsAsTheCheckpoint) {
  ASSERT_EQ(Shell("golf-pack " + checkpoint_ + " --preset float --level 1 -o " + output_).code, 0);
  const std::string other = folder_ / "b.ptz";
  const Outcome o = Shell("golf-pack " + safetensors_ + RecipeFlags() +
                          " --preset float --level 1 -o " + other + " 2>&1");
  ASSERT_EQ(o.code, 0) << o.text;
  const auto a = Artifact::Read(output_), b = Artifact::Read(other);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->encoded(), b->encoded());
  EXPECT_TRUE(std::ranges::equal(a->program_bytes(), b->program_bytes()));
  EXPECT_EQ(a->tokenizer(), b->tokenizer());
  EXPECT_EQ(a->provenance().weights, "ema");
  EXPECT_EQ(a->provenance().step, 42U);
  EXPECT_TRUE(std::ranges::equal(a->tensors()[0].data, average_[0]));
}

TEST_F(GolfPack, RawWeightsOnRequest) {
  ASSERT_EQ(
      Shell("golf-pack " + checkpoint_ + " --weights raw --preset float --level 1 -o " + output_)
          .code,
      0);
  const auto artifact = Artifact::Read(output_);
  EXPECT_EQ(artifact->provenance().weights, "raw");
  EXPECT_TRUE(std::ranges::equal(artifact->tensors()[0].data, weights_[0]));
}

TEST_F(GolfPack, GivesTheSameFileForAnyNumberOfThreads) {
  const std::string other = folder_ / "b.ptz";
  ASSERT_EQ(Shell("golf-pack " + checkpoint_ + " --preset pr668 --threads 1 -o " + output_).code,
            0);
  ASSERT_EQ(Shell("golf-pack " + checkpoint_ + " --preset pr668 --threads 3 -o " + other).code, 0);
  EXPECT_EQ(ReadAll(output_), ReadAll(other));
}

TEST_F(GolfPack, CalibratesOnAShardOrOnItsOwnTextAndKeepsTheHessians) {
  std::vector<uint16_t> tokens(5000);
  std::mt19937 random(9);
  for (uint16_t& t : tokens) t = static_cast<uint16_t>(random() % kPieces);
  const std::string shard = folder_ / "train.bin", hessians = folder_ / "h.ckpt",
                    other = folder_ / "b.ptz";
  ASSERT_TRUE(WriteTokenShard(shard, tokens).ok());
  const std::string pack = "golf-pack " + checkpoint_ + " --preset int5 --level 1 ";
  const std::string calibrate = " --calibrate " + shard + " --calibrate-windows 3 ";
  const Outcome o =
      Shell(pack + calibrate + "--threads 1 --json --save-hessians " + hessians + " -o " + output_);
  ASSERT_EQ(o.code, 0) << o.text;
  double nearest = 0, chosen = 0;
  const json gains = json::parse(o.text).at("gptq");
  for (const json& gain : gains) {
    nearest += gain.at("nearest").get<double>();
    chosen += gain.at("chosen").get<double>();
  }
  EXPECT_LT(chosen, 0.8 * nearest);

  EXPECT_GT(json::parse(o.text).at("calibration_seconds"), 0);
  ASSERT_EQ(Shell(pack + "--threads 3 --hessians " + hessians + " -o " + other).code, 0);
  EXPECT_EQ(ReadAll(output_), ReadAll(other)) << "from the file, with other threads";
  ASSERT_EQ(Shell(pack + "--gptq off --hessians " + hessians + " -o " + other).code, 0);
  EXPECT_NE(ReadAll(output_), ReadAll(other));
  const std::string nearest_codes = ReadAll(other);
  ASSERT_EQ(Shell(pack + " -o " + other).code, 0);
  EXPECT_EQ(nearest_codes, ReadAll(other));

  const std::string self = pack + "--calibrate self --calibrate-windows 2 -o ";
  ASSERT_EQ(Shell(self + output_ + " --threads 1").code, 0);
  ASSERT_EQ(Shell(self + other + " --threads 3").code, 0);
  EXPECT_EQ(ReadAll(output_), ReadAll(other));

  const auto refused = [&](const std::string& flags, int code, const std::string& message) {
    const Outcome refusal = Shell(pack + flags + " --dry-run 2>&1");
    EXPECT_EQ(refusal.code, code) << flags;
    EXPECT_THAT(refusal.text, HasSubstr(message)) << flags;
  };
  refused("--hessians " + hessians + calibrate, 2, "leave out --calibrate");
  refused("--save-hessians x", 2, "needs --calibrate");
  refused("--max-train-seconds 1e-9 --hessians " + hessians, 5, "--max-train-seconds is 1e-09");
  const Outcome late = Shell(pack + "--max-train-seconds 1e-9 --over-time warn --json --hessians " +
                             hessians + " -o " + output_ + " 2>" + (folder_ / "stderr"));
  EXPECT_EQ(late.code, 0);
  EXPECT_EQ(json::parse(late.text).at("over_time"), true);
  EXPECT_THAT(ReadAll(folder_ / "stderr"), HasSubstr("warning: training took"));
  refused("--hessians " + checkpoint_, 4, "no Hessians");
  refused("--hessians nowhere", 3, "nowhere");
  refused("--calibrate nowhere.bin", 3, "nowhere.bin");
  const Outcome foreign =
      Shell("golf-pack " + safetensors_ + RecipeFlags() +
            " --set network.window=32 --dry-run --hessians " + hessians + " 2>&1");
  EXPECT_EQ(foreign.code, 2);
  EXPECT_THAT(foreign.text, HasSubstr("another network"));
}

// Validation text is no text to choose codes by.
TEST_F(GolfPack, CalibratesOnTrainingTextOnlyAndRemembersIt) {
  const std::string set = folder_ / "set";
  fs::create_directory(set);
  const auto write = [&](const std::string& name, uint16_t first) {
    std::vector<uint16_t> tokens(600, 7);
    tokens[0] = first;
    EXPECT_TRUE(WriteTokenShard(set + name, tokens).ok());
    const auto shard = TokenShard::Open(set + name);
    return FactsOf({&*shard, 1}).front();
  };
  const ShardFacts train = write("/g_train_000000.bin", 1), val = write("/g_val_000000.bin", 2);
  CheckpointContents contents;
  contents.program = program_;
  contents.tokenizer = *ReadTokenizerInfo(tokenizer_);
  contents.groups = {{"weights", Views(weights_)}};
  contents.training_shards = {train};
  contents.validation_shards = {val};
  ASSERT_TRUE(WriteCheckpoint(checkpoint_, contents).ok());
  const std::string pack = "golf-pack " + checkpoint_ +
                           " --preset int6 --level 1 --calibrate-windows 1 -o " + output_ +
                           " --calibrate ";
  ASSERT_EQ(Shell(pack + set).code, 0);
  const auto artifact = Artifact::Read(output_);
  ASSERT_TRUE(artifact.ok());
  ASSERT_EQ(artifact->provenance().training_shards.size(), 1U);
  EXPECT_EQ(artifact->provenance().training_shards[0].sha256, train.sha256);
  ASSERT_EQ(artifact->provenance().calibration_shards.size(), 1U);
  EXPECT_EQ(artifact->provenance().calibration_shards[0].sha256, train.sha256);

  fs::copy_file(val.path, folder_ / "innocent.bin");
  const Outcome refused = Shell(pack + (folder_ / "innocent.bin") + " 2>&1");
  EXPECT_EQ(refused.code, 4);
  EXPECT_THAT(refused.text, HasSubstr("the same text as g_val_000000.bin, which the network was "
                                      "validated on"));
  const ShardFacts unknown = write("/h_val_000000.bin", 3);
  const Outcome warned = Shell(pack + unknown.path + " 2>&1");
  EXPECT_EQ(warned.code, 0);
  EXPECT_THAT(warned.text, HasSubstr("warning: " + unknown.path + " is a validation shard"));
  std::ofstream(set + "/dataset.json")
      << R"({"tokenizer": {"sha256": ")" << std::string(64, '8') << R"("}})";
  const Outcome foreign = Shell(pack + set + " 2>&1");
  EXPECT_EQ(foreign.code, 4);
  EXPECT_THAT(foreign.text, HasSubstr("made with another tokenizer"));
}

TEST_F(GolfPack, FitsIntoABudgetAndSaysHow) {
  const uint64_t whole = PackedBytes();
  const std::string code = folder_.Write("code.py", std::string(1000, '#'));
  const std::string command = "golf-pack " + checkpoint_ +
                              " --preset int6 --level 3 --json --code " + code + " -o " + output_ +
                              " --max-bytes ";
  const uint64_t budget = whole * 6 / 10;
  const Outcome o = Shell(command + std::to_string(budget) + " --fit");
  ASSERT_EQ(o.code, 0) << o.text;
  const json fit = json::parse(o.text);
  EXPECT_EQ(fs::file_size(output_), fit.at("artifact_bytes").get<uint64_t>());
  EXPECT_LE(fit.at("total_bytes").get<uint64_t>(), budget);
  EXPECT_GE(fit.at("total_bytes").get<double>(), 0.98 * static_cast<double>(budget));
  EXPECT_GT(fit.at("fit").at("path").size(), 3U);
  EXPECT_EQ(Shell(command + "2000 --fit 2>&1").code, 5);
  EXPECT_EQ(Shell(command + "20000 --fit=pr1232 2>&1").code, 2) << "not one of PR 1232's presets";
  EXPECT_EQ(Shell(command + "20000 --fit=best 2>&1").code, 2);
  EXPECT_EQ(Shell("golf-pack " + checkpoint_ + " --fit --dry-run 2>&1").code, 2);
}

TEST_F(GolfPack, SaysWhatWouldFitAndWarnsOfMuchPruning) {
  const uint64_t int6 = PackedBytes();
  const std::string command = "golf-pack " + checkpoint_ + " --dry-run --level 3 --max-bytes ";
  Outcome o = Shell(command + std::to_string(int6 * 11 / 10) + " --preset float 2>&1");
  EXPECT_EQ(o.code, 5);
  EXPECT_THAT(o.text, HasSubstr("--preset int6 fits"));
  EXPECT_THAT(o.text, HasSubstr("--fit finds"));
  o = Shell(command + std::to_string(int6 * 95 / 100) + " 2>&1");
  EXPECT_EQ(o.code, 5);
  EXPECT_THAT(o.text, HasSubstr("--preset int5 fits"));
  o = Shell(command + "2000 2>&1");
  EXPECT_EQ(o.code, 5);
  EXPECT_THAT(o.text, testing::Not(HasSubstr("--preset")));

  o = Shell(command + std::to_string(int6 / 10) + " --fit 2>&1");
  EXPECT_EQ(o.code, 0) << o.text;
  EXPECT_THAT(o.text, HasSubstr("of the weights were pruned"));
  o = Shell(command + std::to_string(int6) + " --preset pr598 --fit 2>&1");
  EXPECT_EQ(o.code, 0) << o.text;
  EXPECT_THAT(o.text, testing::Not(HasSubstr("were pruned")));
}

TEST_F(GolfPack, TakesThePackingOfTheRecipe) {
  const Outcome o = Shell("golf-pack " + checkpoint_ + " --dry-run --level 1 --json");
  EXPECT_EQ(json::parse(o.text).at("packing"), "int6") << "nano is no published system";
}

// Rows that training let go to zero, and gains above fp16's range, are no bad numbers.
TEST_F(GolfPack, PacksNearlyZeroRowsAndHugeGains) {
  const size_t matrix = average_.Find("blocks.0.mlp.up_proj.weight"),
               gain = average_.Find("blocks.1.attn_scale");
  const uint32_t cols = average_.shape(matrix)[1];
  for (uint32_t i = 0; i < cols; ++i) average_[matrix][i] *= 1e-7F;
  average_[gain][3] = 1e5F;
  ASSERT_TRUE(WriteSafetensors(safetensors_, Views(average_)).ok());
  for (const std::string preset : {"int6", "int5", "pr598", "pr668", "pr1004", "pr1232", "float"}) {
    const Outcome o = Shell("golf-pack " + safetensors_ + RecipeFlags() + " --level 1 --preset " +
                            preset + " -o " + output_ + " 2>&1");
    ASSERT_EQ(o.code, 0) << o.text;
    const auto artifact = Artifact::Read(output_);
    ASSERT_TRUE(artifact.ok()) << artifact.status().message();
    for (const TensorView& t : artifact->tensors()) {
      if (t.name == average_.name(gain)) {
        EXPECT_EQ(t.data[3], 1e5F) << preset;
      }
      if (t.name != average_.name(matrix)) continue;
      for (uint32_t i = 0; i < cols; ++i)
        EXPECT_NEAR(t.data[i], average_[matrix][i], 1e-6) << preset;
    }
  }
  average_[matrix][0] = INFINITY;
  ASSERT_TRUE(WriteSafetensors(safetensors_, Views(average_)).ok());
  EXPECT_EQ(Shell("golf-pack " + safetensors_ + RecipeFlags() + " --dry-run 2>&1").code, 7);
}

TEST_F(GolfPack, PrunesOnRequest) {
  const auto zeros = [&](const std::string& flags) {
    EXPECT_EQ(
        Shell("golf-pack " + checkpoint_ + " --preset int6 --level 1 -o " + output_ + flags).code,
        0);
    size_t count = 0;
    const auto artifact = Artifact::Read(output_);
    for (const EncodedTensor& t : artifact->encoded()) {
      if (t.encoding.storage == Storage::kCodes)
        count += static_cast<size_t>(std::ranges::count(t.codes(), 0));
    }
    return count;
  };
  EXPECT_GT(zeros(" --prune 0.5"), 4 * zeros(""));
  EXPECT_EQ(Shell("golf-pack " + checkpoint_ + " --prune 1.5 --dry-run 2>&1").code, 2);
}

TEST_F(GolfPack, SaysWhatIsMissingOrDoesNotBelong) {
  const auto expect = [&](const std::string& arguments, int code, const std::string& message) {
    const Outcome o = Shell("golf-pack " + arguments + " 2>&1");
    EXPECT_EQ(o.code, code) << arguments << "\n" << o.text;
    EXPECT_THAT(o.text, HasSubstr(message)) << arguments;
  };
  expect("", 2, "what is to be packed");
  expect(checkpoint_, 2, "where to");
  expect(checkpoint_ + " --recipe nano --dry-run", 2, "--recipe and --set are for safetensors");
  expect(safetensors_ + " --dry-run", 2, "--recipe");
  expect(safetensors_ + " --recipe pr598 --dry-run", 4,
         "skip_weights has shape (1, 192), expected (5, 512)");
  expect(checkpoint_ + " --dry-run --preset pr99", 2, "pr99");
  expect(checkpoint_ + " --dry-run --level 23", 2, "level");
  expect(checkpoint_ + " --dry-run --code nowhere.py", 3, "nowhere.py");
  expect("nowhere.ckpt --dry-run", 3, "nowhere.ckpt");
  expect("--check " + output_, 2, "--max-bytes");
  expect(checkpoint_ + " -o /no/such/folder/a.ptz --level 1", 3, "/no/such/folder: cannot write");
}

TEST_F(GolfPack, InspectListsAndExportsBothKindsOfFile) {
  ASSERT_EQ(Shell("golf-pack " + checkpoint_ + " --level 1 -o " + output_).code, 0);
  const Outcome text = Shell("golf-inspect " + output_ + " --verify");
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.text, HasSubstr("up_proj.weight"));
  EXPECT_THAT(text.text, HasSubstr("verified"));

  const std::string exported = folder_ / "out.safetensors";
  ASSERT_EQ(Shell("golf-inspect " + output_ + " --export " + exported + " --json").code, 0);
  const auto artifact = Artifact::Read(output_);
  const auto file = ReadSafetensors(exported);
  ASSERT_TRUE(file.ok());
  const auto want = artifact->tensors(), got = file->views();
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(got[i].name, want[i].name);
    EXPECT_TRUE(std::ranges::equal(got[i].data, want[i].data));
  }

  ASSERT_EQ(Shell("golf-inspect " + checkpoint_ + " --verify --export " + exported).code, 0);
  EXPECT_TRUE(std::ranges::equal(ReadSafetensors(exported)->views()[0].data, average_[0]));
  const json checkpoint = json::parse(Shell("golf-inspect " + checkpoint_ + " --json").text);
  EXPECT_EQ(checkpoint.at("integers").at("step"), 42);
  EXPECT_EQ(checkpoint.at("groups")[1].at("name"), "ema");

  EXPECT_EQ(
      Shell("golf-inspect " + output_ + " --max-bytes " + std::to_string(fs::file_size(output_)))
          .code,
      0);
  EXPECT_EQ(Shell("golf-inspect " + output_ + " --max-bytes 10 2>&1").code, 5);
  const json xz =
      json::parse(Shell("golf-inspect " + output_ + " --compare-xz --json").text).at("xz");
  EXPECT_GT(xz.at("all_in_one_bytes").get<uint64_t>(), 1000U);
  EXPECT_EQ(xz.at("groups").size(),
            json::parse(Shell("golf-inspect " + output_ + " --json").text).at("groups").size());
  EXPECT_EQ(Shell("golf-inspect " + safetensors_ + " 2>&1").code, 4);
}

}  // namespace
}  // namespace golf::test
