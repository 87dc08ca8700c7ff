// A network that the reference trained, scored by golf-run as the reference scored it. The folder is $GOLF_TRAINED or
// ../shared/trained beside the repository; without it the tests are skipped.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "artifact/safetensors.h"
#include "artifact/tokenizer_info.h"
#include "tests/runtime/run_program.h"
#include "tests/runtime/small_network.h"
#include "tests/support/network_config.h"

namespace golf {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json ReadJson(const fs::path& path) { return json::parse(std::ifstream(path)); }

class Trained : public testing::Test {
 protected:
  void SetUp() override {
    const char* given = std::getenv("GOLF_TRAINED");
    trained_ = given != nullptr ? fs::path(given) : fs::path(GOLF_SOURCE_DIR) / "../shared/trained";
    data_ = trained_ / "../data";
    if (!fs::exists(trained_ / "expected.json") ||
        !fs::exists(data_ / "wikitext2_valid_sp1024.bin")) {
      GTEST_SKIP() << "no trained network in " << trained_
                   << " ($GOLF_TRAINED names another folder)";
    }
    scratch_ = fs::path(testing::TempDir()) / ("golf_trained_" + std::to_string(getpid()));
    fs::create_directories(scratch_);
    expected_ = ReadJson(trained_ / "expected.json");
  }
  void TearDown() override {
    if (!scratch_.empty()) fs::remove_all(scratch_);
  }

  // Packs, scores, and compares with expected.json's `name` within `tolerance` (relative).
  void Check(const std::string& packing, const std::string& flags, const std::string& name,
             double tolerance) {
    const json start = ReadJson(trained_ / "train_start.json");
    const uint32_t window = expected_.at("seq_len");
    const auto program = BuildNetwork(test::NetworkConfigFromManifest(start.at("config"), window));
    const TensorFile tensors =
        std::move(*ReadSafetensors((trained_ / "model.safetensors").string()));
    const TokenizerInfo tokenizer = *ReadTokenizerInfo((data_ / "fineweb_1024_bpe.model").string());
    TensorSet weights(*program);  // the artifact holds tensors in program order
    ASSERT_TRUE(weights.Load(tensors.views()).ok());
    const std::string artifact = (scratch_ / (packing + ".ptz")).string();
    test::WriteArtifact(artifact, *program, test::Views(weights), tokenizer.byte_table, packing);

    const std::string command = artifact + " " + (data_ / "wikitext2_valid_sp1024.bin").string() +
                                " --json --protocol reference --limit-tokens " +
                                expected_.at("tokens_in").dump() + " --stride " +
                                expected_.at("stride").dump() + flags;
    const auto output = test::RunProgram("golf-run", command, scratch_);
    ASSERT_EQ(output.exit_code, 0) << output.err;
    const json receipt = json::parse(output.out), &want = expected_.at(name);
    for (const char* field : {"val_loss", "val_bpb"}) {
      const double value = receipt.at(field), wanted = want.at(field);
      EXPECT_NEAR(value, wanted, tolerance * wanted) << name << ' ' << field;
    }
    std::printf("%s: bpb %.6f (reference %.6f), %.1f s (PyTorch, 2 threads: %.1f s)\n",
                name.c_str(), receipt.at("val_bpb").get<double>(), want.at("val_bpb").get<double>(),
                receipt.at("eval").at("scoring_seconds").get<double>(),
                want.at("seconds").get<double>());
  }

  std::string TttFlags(const std::string& preset) const {
    const json& ttt = expected_.at("ttt");
    return " --ttt-preset " + preset + " --no-ttt-fake-quant --ttt-lr " + ttt.at("ttt_lr").dump() +
           " --ttt-momentum " + ttt.at("ttt_momentum").dump() + " --ttt-epochs " +
           ttt.at("ttt_epochs").dump() + " --ttt-freeze-blocks " +
           ttt.at("ttt_freeze_blocks").dump() + " --ttt-batch " + ttt.at("ttt_batch_seqs").dump() +
           " --ttt-chunk " + ttt.at("ttt_chunk_tokens").dump() + " --ttt-clip " +
           ttt.at("ttt_grad_clip").dump();
  }

  fs::path trained_, data_, scratch_;
  json expected_;
};

TEST_F(Trained, FloatSliding) { Check("float", "", "float_sliding", 1e-5); }
// bf16 products move the score by at most 5e-4 bits per byte, of about 3.3.
TEST_F(Trained, FloatSlidingInBf16) {
  Check("float", " --precision bf16", "float_sliding", 5e-4 / 3.4);
}
TEST_F(Trained, Pr598PackedSliding) { Check("pr598", "", "pr598_packed_sliding", 1e-5); }
TEST_F(Trained, Pr668PackedSliding) { Check("pr668", "", "pr668_packed_sliding", 1e-5); }
TEST_F(Trained, FloatTtt) { Check("float", TttFlags("pr598"), "float_ttt", 1e-3); }
TEST_F(Trained, Pr598PackedTtt) { Check("pr598", TttFlags("pr598"), "pr598_packed_ttt", 1e-3); }
TEST_F(Trained, Pr668PackedTtt) { Check("pr668", TttFlags("pr668"), "pr668_packed_ttt", 1e-3); }

}  // namespace
}  // namespace golf
