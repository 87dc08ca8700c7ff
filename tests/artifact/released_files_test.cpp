// Files of earlier releases stay readable and mean what they meant: schemas/released/<version>/sample.*
#include <gtest/gtest.h>

#include "artifact/artifact.h"
#include "artifact/checkpoint.h"
#include "runtime/program.h"
#include "runtime/weights.h"
#include "schemas/program_generated.h"

namespace golf::test {
namespace {

const std::string kReleased = GOLF_SOURCE_DIR "/schemas/released/";

TEST(ReleasedFiles, AVersion1CheckpointStaysReadable) {
  const auto checkpoint = Checkpoint::Open(kReleased + "1/sample.ckpt");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const CheckpointContents& contents = checkpoint->contents();
  EXPECT_EQ(contents.integers.at("step"), 12U);
  EXPECT_EQ(contents.reals.at("clock_seconds"), 1.5);
  EXPECT_EQ(contents.tokenizer.byte_table.size(), 32U);
  const auto program = ParseProgram(contents.program);
  ASSERT_TRUE(program.ok()) << program.status().message();
  EXPECT_EQ((*program)->name, "tiny");
  EXPECT_TRUE(TensorSet(**program).Load(contents.group("ema")).ok());
}

TEST(ReleasedFiles, AVersion1ArtifactStaysReadable) {
  const auto artifact = Artifact::Read(kReleased + "1/sample.ptz");
  ASSERT_TRUE(artifact.ok()) << artifact.status().message();
  EXPECT_EQ(artifact->content_hash(),
            "3b85c8231baf502f9bcd1c3488e26fd14028a68db2473afa250f92e130edfb60");
  EXPECT_EQ(artifact->provenance().step, 12U);
  const auto program = ParseProgram(artifact->program_bytes());
  ASSERT_TRUE(program.ok()) << program.status().message();
  const auto checkpoint = Checkpoint::Open(kReleased + "1/sample.ckpt");
  ASSERT_TRUE(checkpoint.ok());
  // Small tensors are packed as floats, so the weights are nearly those of the checkpoint it was made of.
  const auto packed = artifact->tensors();
  const auto original = checkpoint->contents().group("ema");
  ASSERT_EQ(packed.size(), original.size());
  for (size_t i = 0; i < packed.size(); ++i) {
    EXPECT_EQ(packed[i].name, original[i].name);
    for (size_t k = 0; k < packed[i].data.size(); ++k)
      EXPECT_NEAR(packed[i].data[k], original[i].data[k], 1e-3);
  }
}

}  // namespace
}  // namespace golf::test
