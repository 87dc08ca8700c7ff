// 200 forged artifacts through the programs that read artifacts. A program may refuse one or run it, but it neither dies nor
// hangs nor takes gigabytes, calls nothing a bug of its own, and writes nothing that a terminal obeys.
#include "tests/fuzz/forged_artifacts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "artifact/file.h"
#include "artifact/token_shard.h"
#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

class ForgedArtifacts : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteTokenShard(shard_, std::vector<uint16_t>{1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5,
                                                              6, 7, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3})
                    .ok());
  }

  // Runs `GOLF_BIN_DIR/arguments` in so much address space and returns its exit code; `out_` is what it printed.
  int Run(const std::string& arguments, size_t kilobytes = 2'000'000) {
#ifdef GOLF_SANITIZE
    const std::string limits;  // a sanitizer maps terabytes
    (void)kilobytes;
#else
    const std::string limits = "ulimit -v " + std::to_string(kilobytes) + "; ";
#endif
    const std::string command = "(" + limits +
                                "OMP_NUM_THREADS=1 exec timeout 30 " GOLF_BIN_DIR "/" + arguments +
                                ") >" + output_ + " 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    out_ = ReadAll(output_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::vector<std::string> Commands() const {
    return {"golf-inspect " + artifact_ + " --max-bytes 16000000",
            "golf-run " + artifact_ + " " + shard_ + " --stride 1 --threads 1",
            "golf-pack --check " + artifact_ + " --max-bytes 16000000"};
  }

  TempFolder folder_;
  const std::string artifact_ = folder_ / "forged.ptz", shard_ = folder_ / "val.bin",
                    output_ = folder_ / "output.txt";
  std::string out_;
};

TEST_F(ForgedArtifacts, TheHonestOneRuns) {
  ASSERT_TRUE(WriteFileAtomically(artifact_, HonestArtifact()).ok());
  for (const std::string& command : Commands()) EXPECT_EQ(Run(command), 0) << command << out_;
}

TEST_F(ForgedArtifacts, ABombIsRefusedBeforeItIsDecoded) {
  const std::vector<uint8_t> bomb = BombArtifact();
  EXPECT_LT(bomb.size(), 2'200'000U);
  ASSERT_TRUE(WriteFileAtomically(artifact_, bomb).ok());
  for (const std::string& command : Commands()) {
    EXPECT_EQ(Run(command, 400'000), 4) << command << out_;
    EXPECT_THAT(out_, testing::HasSubstr("no weight of that name"));
  }
}

TEST_F(ForgedArtifacts, AreRefusedOrRun) {
  int refused = 0, passed_gate = 0;
  for (const ForgedArtifact& forged : ForgeArtifacts(200)) {
    SCOPED_TRACE(forged.what);
    ASSERT_TRUE(WriteFileAtomically(artifact_, forged.file).ok());
    std::vector<int> codes;
    for (const std::string& command : Commands()) {
      codes.push_back(Run(command));
      // 3: memory that a program may ask for and this machine does not have; 7: numbers that are none
      EXPECT_THAT(codes.back(), testing::AnyOf(0, 3, 4, 7)) << command << "\n" << out_;
      EXPECT_EQ(out_.find('\x1b'), std::string::npos) << command;
    }
    refused += codes[1] == 4;
    passed_gate += codes[2] == 0;
    // What golf-run cannot read never passes the gate.
    EXPECT_EQ(codes[1] == 4, codes[2] == 4);
  }
  std::printf("%d of 200 refused, %d passed the size gate\n", refused, passed_gate);
  EXPECT_GT(refused, 100);
  EXPECT_GT(passed_gate, 5);
}

}  // namespace
}  // namespace golf::test
