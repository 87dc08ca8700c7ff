// Which tokens each rank sees in each micro-batch, over shard ends and around the end of the stream.
#include <gtest/gtest.h>

#include "artifact/token_shard.h"
#include "tests/golden/kinds.h"
#include "tests/support/temp_folder.h"
#include "trainer/training_stream.h"

namespace golf::test {

void LoaderGolden(const GoldenCase& c) {
  const auto setting = [&c](const char* name) { return c.run().at(name).get<size_t>(); };
  const TempFolder folder;  // another run of these tests may be under way
  std::vector<std::string> paths;
  for (size_t i = 0; i < setting("shards"); ++i) {
    const std::vector<int32_t> ids = c.Get("shard" + std::to_string(i)).i32();
    const std::vector<uint16_t> tokens(ids.begin(), ids.end());
    paths.push_back(folder / (std::to_string(i) + ".bin"));
    const Status written = WriteTokenShard(paths.back(), tokens);
    ASSERT_TRUE(written.ok()) << written.message();
  }
  const Result<TrainingStream> stream = TrainingStream::Open(paths, 65536);
  ASSERT_TRUE(stream.ok()) << stream.status().message();

  const size_t world = setting("world");
  const size_t n = setting("global_tokens") / (world * setting("grad_accum"));
  std::vector<int32_t> ids(n), targets(n);
  for (size_t batch = 0; batch < setting("batches"); ++batch) {
    for (size_t rank = 0; rank < world; ++rank) {
      const Status read = stream->ReadSpan((batch * world + rank) * (n + 1), ids, targets);
      ASSERT_TRUE(read.ok()) << read.message();
      const std::string prefix = "rank" + std::to_string(rank) + "/";
      c.ExpectInts(prefix + "x" + std::to_string(batch), ids);
      c.ExpectInts(prefix + "y" + std::to_string(batch), targets);
    }
  }
}

}  // namespace golf::test
