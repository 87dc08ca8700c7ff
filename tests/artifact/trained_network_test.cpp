// Packing a network that the reference trained: codes and sizes beside the reference's own. Where the files are at hand:
// $GOLF_TRAINED or ../shared/trained.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "artifact/artifact.h"
#include "artifact/artifact_write.h"
#include "artifact/packing.h"
#include "artifact/safetensors.h"

namespace golf::test {
namespace {

namespace fs = std::filesystem;

fs::path TrainedFolder() {
  const char* from_environment = std::getenv("GOLF_TRAINED");
  return from_environment != nullptr ? fs::path(from_environment)
                                     : fs::path(GOLF_SOURCE_DIR) / "../shared/trained";
}

class TrainedNetwork : public testing::TestWithParam<std::string> {};

TEST_P(TrainedNetwork, HasTheReferencesCodesInFewerBytes) {
  const fs::path folder = TrainedFolder();
  if (!fs::exists(folder / "expected.json"))
    GTEST_SKIP() << "no trained network in " << folder << " ($GOLF_TRAINED)";
  std::ifstream json(folder / "expected.json");
  const auto expected = nlohmann::json::parse(json).at(GetParam() + "_pack");
  const auto file = ReadSafetensors((folder / "model.safetensors").string());
  ASSERT_TRUE(file.ok()) << file.status().message();
  const auto encoded = EncodeTensors(*FindPacking(GetParam()), file->views());
  ASSERT_TRUE(encoded.ok()) << encoded.status().message();

  uint64_t codes = 0, magnitudes = 0, payload = 0;
  for (const EncodedTensor& t : *encoded) {
    payload += t.data.size() + t.scales.size();
    if (t.encoding.storage != Storage::kCodes) continue;
    codes += t.data.size();
    for (const int8_t c : t.codes()) magnitudes += static_cast<uint64_t>(std::abs(c));
  }
  EXPECT_EQ(codes, expected.at("codes").get<uint64_t>());
  EXPECT_EQ(payload, expected.at("stats").at("int6_payload_bytes").get<uint64_t>());
  EXPECT_NEAR(static_cast<double>(magnitudes), expected.at("sum_abs_codes").get<double>(),
              1e-4 * static_cast<double>(codes));

  const std::vector<uint8_t> artifact =
      SerialiseArtifact({{}, {std::string(64, '0'), {{0}, {0}, {0}}}, {}, *encoded}, 22);
  EXPECT_LT(artifact.size(), expected.at("zstd22_bytes").get<uint64_t>());
  RecordProperty("artifact_bytes", std::to_string(artifact.size()));
  const auto read = Artifact::Parse(artifact);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->encoded(), *encoded);
}

INSTANTIATE_TEST_SUITE_P(Presets, TrainedNetwork, testing::Values("pr598", "pr668"),
                         [](const auto& preset) { return preset.param; });

}  // namespace
}  // namespace golf::test
