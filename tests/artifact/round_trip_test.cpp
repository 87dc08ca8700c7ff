// What is written comes back, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "artifact/artifact.h"
#include "artifact/size_report.h"
#include "artifact/stream_coder.h"
#include "tests/artifact/samples.h"

namespace golf::test {
namespace {

class RoundTrip : public testing::TestWithParam<std::string> {};

TEST_P(RoundTrip, GivesBackWhatWasPacked) {
  const Packing packing = *FindPacking(GetParam());
  const SampleTensors network = SampleNetwork();
  const std::vector<EncodedTensor> encoded = Encode(network, packing);
  const auto artifact = Artifact::Parse(Serialise(encoded));
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  EXPECT_EQ(artifact->encoded(), encoded);
  EXPECT_THAT(artifact->program_bytes(), testing::ElementsAreArray(SampleProgram()));
  EXPECT_EQ(artifact->tokenizer(), SampleTokenizer());
  EXPECT_EQ(artifact->provenance(), (Provenance{"golf-test", "everything", "raw", 7}));
  const std::vector<TensorView> tensors = artifact->tensors();
  for (size_t i = 0; i < encoded.size(); ++i) {
    std::vector<float> weights(tensors[i].data.size());
    Dequantise(encoded[i], weights);
    EXPECT_EQ(tensors[i].name, network.names[i]);
    EXPECT_THAT(tensors[i].shape, testing::ElementsAreArray(network.shapes[i]));
    EXPECT_THAT(tensors[i].data, testing::ElementsAreArray(weights)) << tensors[i].name;
  }
}

TEST_P(RoundTrip, UnpackedAndPackedAgainIsTheSameFile) {
  const std::vector<uint8_t> file =
      Serialise(Encode(SampleNetwork(), *FindPacking(GetParam())), 22);
  const auto artifact = Artifact::Parse(file);
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  const ArtifactContents again{artifact->program_bytes(), artifact->tokenizer(),
                               artifact->provenance(), artifact->encoded()};
  EXPECT_EQ(SerialiseArtifact(again, 22), file);
}

TEST_P(RoundTrip, PackingDequantisedFloatsAgainKeepsThem) {
  const Packing packing = *FindPacking(GetParam());
  const auto artifact = Artifact::Parse(Serialise(Encode(SampleNetwork(), packing)));
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  const auto again = EncodeTensors(packing, artifact->tensors());
  ASSERT_TRUE(again.ok());
  for (size_t i = 0; i < again->size(); ++i) {
    if ((*again)[i].encoding.storage == Storage::kCodes) continue;
    EXPECT_EQ((*again)[i], artifact->encoded()[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, RoundTrip, testing::ValuesIn(PackingNames()),
                         [](const auto& preset) {
                           std::string name = preset.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(StreamCoder, RoundTripsEveryWidthLevelAndLength) {
  std::mt19937 random(1);
  for (const size_t width : {1, 2, 4}) {
    for (const int level : {1, 3, 9, 19, 22}) {
      for (const size_t elements : {1, 2, 3, 100, 1023, 70000}) {
        std::vector<uint8_t> bytes(width * elements);
        for (uint8_t& b : bytes) b = static_cast<uint8_t>(random() % 40);
        const std::vector<uint8_t> encoded = EncodeStream(bytes, width, level);
        const auto decoded = DecodeStream(encoded, width, bytes.size());
        ASSERT_TRUE(decoded.ok()) << decoded.status().message() << " width " << width << " level "
                                  << level;
        EXPECT_EQ(*decoded, bytes);
      }
    }
  }
}

TEST(SizeReport, AddsUpToTheFile) {
  const auto artifact = Artifact::Parse(Serialise(Encode(SampleNetwork(), *FindPacking("pr598"))));
  ASSERT_TRUE(artifact.ok());
  const SizeReport report = MakeSizeReport(*artifact);
  uint64_t tensors = 0, groups = 0;
  for (const TensorSize& t : report.tensors) tensors += t.bytes();
  for (const SizeGroup& g : report.groups) groups += g.bytes;
  EXPECT_EQ(tensors + report.description_bytes + report.envelope_bytes, report.total_bytes);
  EXPECT_EQ(groups, tensors);
  EXPECT_TRUE(report.tensors[0].data_is_exact);
  EXPECT_FALSE(report.tensors[1].data_is_exact);
  EXPECT_EQ(GroupName("blocks.1.mlp.up_proj.weight"), "blocks.*.mlp.up_proj.weight");
  EXPECT_EQ(GroupName("7"), "*");
  EXPECT_EQ(GroupName("a..7b.-1.12"), "a..7b.-1.*");
}

}  // namespace
}  // namespace golf::test
