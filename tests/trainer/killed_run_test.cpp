// golf-train as a process: killed at random moments and started again, stopped by a signal, started twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/trainer/tiny.h"

extern char** environ;

namespace golf {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

class Process {
 public:
  explicit Process(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), GOLF_BIN_DIR "/golf-train");
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ), 0);
  }
  void Signal(int signal) const { ::kill(pid_, signal); }
  // Exit code, or -signal.
  int Wait() const {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
};

class KilledRun : public testing::Test {
 protected:
  KilledRun() : folder_(test::TestFolder()) {
    EXPECT_TRUE(WriteTokenShard(folder_ + "/train.bin", test::TinyTokens(5000, 1)).ok());
    std::ofstream(folder_ + "/tiny.toml") << test::kTinyRecipe;
  }
  std::vector<std::string> Arguments(const std::string& out, uint64_t iterations) {
    return {"--recipe",
            folder_ + "/tiny.toml",
            "--set",
            "schedule.iterations=" + std::to_string(iterations),
            "--data",
            folder_ + "/train.bin",
            "--checkpoint-every",
            "1",
            "--quiet",
            "--threads",
            "1",
            "--out",
            folder_ + "/" + out,
            "--resume",
            "--export",
            folder_ + "/" + out + ".safetensors"};
  }
  std::string Exported(const std::string& out) {
    std::ostringstream bytes;
    bytes << std::ifstream(folder_ + "/" + out + ".safetensors", std::ios::binary).rdbuf();
    return bytes.str();
  }
  bool HasCheckpoint(const std::string& out) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_ + "/" + out, none)) {
      if (entry.path().extension() == ".ckpt") return true;
    }
    return false;
  }
  std::string folder_;
};

TEST_F(KilledRun, EndsWithTheSameBitsAsAnUnbrokenOne) {
  ASSERT_EQ(Process(Arguments("unbroken", 300)).Wait(), 0);
  int kills = 0;
  for (; kills < 12; ++kills) {
    const Process process(Arguments("killed", 300));
    std::this_thread::sleep_for(milliseconds(20 + 37 * kills % 150));
    process.Signal(SIGKILL);
    if (process.Wait() == 0) break;
  }
  ASSERT_EQ(Process(Arguments("killed", 300)).Wait(), 0);
  EXPECT_GT(kills, 0);
  EXPECT_FALSE(Exported("unbroken").empty());
  EXPECT_EQ(Exported("unbroken"), Exported("killed"));
}

TEST_F(KilledRun, TermEndsWithACheckpointAndALockKeepsOthersOut) {
  const Process process(Arguments("out", 100'000'000));
  for (int i = 0; i < 600 && !HasCheckpoint("out"); ++i)
    std::this_thread::sleep_for(milliseconds(50));
  ASSERT_TRUE(HasCheckpoint("out"));
  EXPECT_EQ(Process(Arguments("out", 10)).Wait(), static_cast<int>(Code::kBusy));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), static_cast<int>(Code::kInterrupted));
  EXPECT_TRUE(HasCheckpoint("out"));
}

TEST_F(KilledRun, NamesAShardThatIsCutShortWhileItIsRead) {
  // More than a page, or what lies behind the end would be zeros and not missing.
  const std::string shard = folder_ + "/train.bin";
  ASSERT_TRUE(WriteTokenShard(shard, test::TinyTokens(500'000, 1)).ok());
  auto arguments = Arguments("out", 100'000'000);
  testing::internal::CaptureStderr();
  const Process process(arguments);
  for (int i = 0; i < 600 && !HasCheckpoint("out"); ++i)
    std::this_thread::sleep_for(milliseconds(50));
  fs::resize_file(shard, 1024);
  EXPECT_EQ(process.Wait(), static_cast<int>(Code::kIo));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::AllOf(testing::HasSubstr("golf-train: error: "),
                             testing::HasSubstr("train.bin: cannot read")));
}

}  // namespace
}  // namespace golf
