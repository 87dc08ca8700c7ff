// What programs do where the system gives them little: memory, threads, time to end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "artifact/token_shard.h"
#include "tests/faults/small_run.h"

namespace golf {
namespace {

using test::Outcome;
using test::Shell;
using testing::HasSubstr;

class Resources : public testing::Test {
 protected:
  Resources() {
    std::vector<uint16_t> tokens(60'000);
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint16_t>(i * i % 300);
    EXPECT_TRUE(WriteTokenShard(files_ / "long.bin", tokens).ok());
  }

  static Outcome Within(size_t kilobytes, const std::string& command) {
    return Shell("ulimit -c 0; ulimit -v " + std::to_string(kilobytes) + "; exec " + command);
  }

  // Kilobytes of address space in which the program can at least be loaded.
  static size_t Smallest(const std::string& program) {
    for (size_t kilobytes = 40'000; kilobytes < 4'000'000; kilobytes += 2'000) {
      if (Within(kilobytes, program + " --version").code == 0) return kilobytes;
    }
    ADD_FAILURE() << program << " --version does not run";
    return 4'000'000;
  }

  const test::SmallRun files_;
};

// From the smallest address space on in small steps until there is enough.
TEST_F(Resources, LittleMemoryEndsWithASentence) {
  const std::string golf_data = files_ / "data";
  size_t refused = 0;
  struct Run {
    const char* program;
    std::string arguments, output;
  };
  for (const Run& run :
       {Run{"golf-data",
            "encode --quiet --tokenizer " + golf_data + "/tokenizer.model --val-every 5 --output " +
                (files_ / "again") + " " + (files_ / "text.txt"),
            files_ / "again"},
        {"golf-train", files_.Train("memory").substr(std::string("golf-train ").size()),
         files_ / "memory"},
        {"golf-pack",
         "--quiet --threads 2 --preset pr668 " + (files_ / "start/step-00000002.ckpt") + " -o " +
             (files_ / "memory.ptz"),
         files_ / "memory.ptz"},
        {"golf-run",
         "--quiet --threads 2 --stride 4 --ttt --ttt-chunk 64 " + (files_ / "model.ptz") + " " +
             golf_data + "/golf_val_000000.bin",
         files_ / "none"},
        {"golf-run",
         "--quiet --threads 2 --window 4000 --limit-tokens 4001 --plain " + (files_ / "model.ptz") +
             " " + (files_ / "long.bin"),
         files_ / "none"},
        {"golf-inspect", (files_ / "model.ptz") + " --compare-xz", files_ / "none"}}) {
    const std::string command = std::string(run.program) + " " + run.arguments;
    size_t kilobytes = Smallest(run.program);
    for (int tries = 0;; ++tries, kilobytes += 1'000 + kilobytes / 100) {
      std::filesystem::remove_all(run.output);
      const Outcome outcome = Within(kilobytes, command);
      if (outcome.code == 0) break;
      ++refused;
      EXPECT_EQ(outcome.code, 3) << kilobytes << " KB: " << command << "\n" << outcome.text;
      EXPECT_THAT(outcome.text, HasSubstr(std::string(run.program) + ": error: "));
      ASSERT_LT(tries, 300) << command;
    }
  }
  EXPECT_GT(refused, 0U);
}

// The limit is the user's, and root has none.
TEST_F(Resources, WithoutMoreThreadsTheWorkIsDoneByOne) {
  const std::string user = getuid() == 0 ? "setpriv --reuid=65534 --clear-groups " : "";
  if (Shell(user + "true").code != 0) GTEST_SKIP() << "setpriv does not work here";
  ASSERT_EQ(Shell("chmod -R a+rX " + files_ / "").code, 0);
  const std::string run = "golf-run --quiet --json --stride 4 " + (files_ / "model.ptz") + " " +
                          (files_ / "data/golf_val_000000.bin");
  const std::string score = " | grep -e val_bpb -e nll_sum_nats";
  const Outcome alone = Shell(run + " --threads 1" + score);
  const Outcome refused =
      Shell("{ " + user + "bash -c 'ulimit -u 1 && exec " + run + " --threads 8'; }" + score);
  EXPECT_EQ(refused.code, 0);
  EXPECT_EQ(refused.text, alone.text);
}

TEST_F(Resources, MoreThreadsThanAnyMachineUsesAreRefused) {
  for (const char* program : {"golf-run", "golf-train", "golf-pack"}) {
    for (const char* threads : {"100000", "1025", "0", "-1"}) {
      const Outcome outcome = Shell(std::string(program) + " --threads " + threads + " a b");
      EXPECT_EQ(outcome.code, 2) << program << " " << threads << "\n" << outcome.text;
      EXPECT_THAT(outcome.text, HasSubstr("--threads"));
    }
  }
}

// `timeout` sends SIGTERM after a second, and SIGKILL (137) where that is not heard within the next twenty. The scoring pass
// takes minutes, the training run hours.
constexpr char kStopped[] = "timeout --preserve-status -k 20 -s TERM 1 ";

TEST_F(Resources, AScoringPassHearsAStopSignal) {
  const Outcome outcome = Shell(kStopped + ("golf-run --quiet --threads 1 --plain --window 59999 " +
                                            (files_ / "model.ptz") + " " + (files_ / "long.bin")));
  EXPECT_EQ(outcome.code, 9) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("stopped by a signal"));
}

TEST_F(Resources, ATrainingPassHearsAStopSignalAndSaves) {
  const Outcome outcome =
      Shell(kStopped + ("golf-train --quiet --threads 1 --recipe " + (files_ / "tiny.toml") +
                        " --set network.vocab_size=300 --set network.window=4096 --set "
                        "batch.tokens=262144 --set batch.micro_windows=32 --data " +
                        (files_ / "long.bin") + " --out " + (files_ / "stopped")));
  EXPECT_EQ(outcome.code, 9) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("saved as"));
}

}  // namespace
}  // namespace golf
