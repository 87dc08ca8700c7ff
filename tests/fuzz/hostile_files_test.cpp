// Files that are not what an argument names, in the place of every input of every program: pipes, folders, devices, empty
// files, text of brackets, zeros. Each is refused: soon, in little memory, and with an exit code that says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

#include "artifact/checkpoint.h"
#include "artifact/file.h"
#include "artifact/token_shard.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tests/fuzz/forged_artifacts.h"
#include "tests/support/temp_folder.h"
#include "trainer/network.h"

namespace golf::test {
namespace {

class HostileFiles : public testing::Test {
 protected:
  HostileFiles() {
    EXPECT_TRUE(WriteFileAtomically(folder_ / "a.ptz", HonestArtifact()).ok());
    EXPECT_TRUE(WriteTokenShard(folder_ / "val.bin", std::vector<uint16_t>(100, 1)).ok());
    folder_.Write("empty", "");
    folder_.Write("brackets", std::string(50'000'000, '['));
    folder_.Write("zeros", std::string(5'000'000, '\0'));
    folder_.Write("nested.safetensors", Header(std::string(1'000'000, '[')));
    std::filesystem::create_directory(folder_.path() / "folder");
    EXPECT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  }

  // A safetensors file with this text as its header.
  static std::string Header(const std::string& text) {
    const uint64_t bytes = text.size();
    return std::string(reinterpret_cast<const char*>(&bytes), sizeof(bytes)) + text;
  }

  // The exit code of a command in the folder.
  int Run(const std::string& command) {
#ifdef GOLF_SANITIZE
    const std::string limits;  // a sanitizer maps terabytes
#else
    const std::string limits = "ulimit -v 1500000; ";
#endif
    const std::string shell = "cd " + folder_.path().string() + "; " + limits +
                              "OMP_NUM_THREADS=1 exec timeout -s KILL 20 " GOLF_BIN_DIR "/" +
                              command + " >output 2>&1 </dev/null";
    const int status = std::system(shell.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  TempFolder folder_;
};

// Time must not grow with the square of the number of tensors.
TEST_F(HostileFiles, ACheckpointOfManyTensorsIsShownSoon) {
  const auto program = SerialiseProgram(*BuildNetwork(NetworkConfig()));
  CheckpointContents contents;
  contents.program = program;
  const std::vector<float> weight = {1};
  const std::vector<uint32_t> shape = {1};
  std::vector<std::string> names;
  for (int i = 0; i < 100'000; ++i) names.push_back(std::string(1, 't').append(std::to_string(i)));
  contents.groups = {{"weights", {}}};
  for (const std::string& name : names) contents.groups[0].tensors.push_back({name, shape, weight});
  ASSERT_TRUE(WriteCheckpoint(folder_ / "many.ckpt", contents).ok());
  EXPECT_EQ(Run("golf-inspect many.ckpt"), 0);
  EXPECT_EQ(Run("golf-inspect many.ckpt --json"), 0);
  EXPECT_EQ(Run("golf-inspect many.ckpt --verify"), 4);
  EXPECT_EQ(Run("golf-pack many.ckpt -o out.ptz"), 4);
  EXPECT_EQ(Run("golf-run many.ckpt val.bin"), 4);
  EXPECT_THAT(ReadAll(folder_ / "output"), testing::HasSubstr("golf-pack"));
}

TEST_F(HostileFiles, AreRefusedByEveryProgram) {
  const std::vector<std::string> commands = {
      "golf-run X val.bin",
      "golf-run a.ptz X",
      "golf-run a.ptz val.bin --code X --max-bytes 100",
      "golf-run a.ptz val.bin --packing X",
      "golf-inspect X",
      "golf-inspect a.ptz --code X --max-bytes 100",
      "golf-inspect verify X",
      "golf-pack X -o out.ptz",
      "golf-pack X -o out.ptz --recipe nano --tokenizer X",
      "golf-pack --check X --max-bytes 16MB",
      "golf-pack --check a.ptz --code X --max-bytes 100",
      "golf-train --recipe ./X --data val.bin --out run",
      "golf-train --recipe nano --data X --out run",
      "golf-train --recipe nano --data val.bin --val X --out run",
      "golf-train --recipe nano --data val.bin --tokenizer X --out run",
      "golf-train --recipe nano --data val.bin --init X --out run",
      "golf-train --recipe nano --evaluate X --val val.bin",
      "golf-data prepare X --output set",
      "golf-data encode val.bin --tokenizer X --output set",
      "golf-data check X",
      "golf-data describe X",
      "golf-data train-tokenizer X --output model"};
  const std::vector<std::string> files = {"pipe",     "folder", "/dev/zero", "/dev/null",
                                          "brackets", "zeros",  "empty",     "nested.safetensors"};
  for (const std::string& command : commands) {
    for (const std::string& file : files) {
      // They count bytes of any file, and these have some.
      const bool counted = command.find("--code X") != std::string::npos;
      // Brackets and zeros are texts.
      const bool text = command.starts_with("golf-data train-tokenizer");
      std::string line = command;
      for (size_t at; (at = line.find('X')) != std::string::npos;) line.replace(at, 1, file);
      if (line.find(".//") != std::string::npos) continue;
      const int code = Run(line);
      if ((counted && code == 5) || (text && code == 0)) continue;
      EXPECT_THAT(code, testing::AnyOf(2, 3, 4)) << line << "\n"
                                                 << ReadAll(folder_ / "output").substr(0, 1000);
    }
  }
}

}  // namespace
}  // namespace golf::test
