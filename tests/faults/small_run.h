// Files for tests of whole programs, made by the programs themselves: a text, a tokenizer and shards, a training run of two
// steps out of four with its checkpoints, an artifact. Small enough that any program runs in well under a second.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temp_folder.h"
#include "tests/trainer/tiny.h"

namespace golf::test {

struct Outcome {
  int code;          // exit code; 128 + signal where a signal ended it
  std::string text;  // stdout and stderr
};

// Runs a line of shell with our programs on the PATH.
inline Outcome Shell(const std::string& command) {
  const std::string line = "PATH=" GOLF_BIN_DIR ":$PATH; export PATH; { " + command + "; } 2>&1";
  FILE* pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  std::string text;
  std::array<char, 4096> buffer{};
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    text.append(buffer.data(), n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text};
}

class SmallRun {
 public:
  SmallRun() {
    std::string text;
    for (int i = 0; i < 60; ++i) {
      text += "report " + std::to_string(i) + " says that the hills of the north are " +
              (i % 3 == 0 ? "deep" : "green") + " and that nothing else is known\n";
    }
    folder_.Write("text.txt", text);
    folder_.Write("tiny.toml", kTinyRecipe);
    const std::string at = path_.string();
    Must("golf-data prepare --quiet --vocab-size 300 --val-every 5 --output " + at + "/data " + at +
         "/text.txt");
    Must(Train("start") + " --steps 2 --checkpoint-every 1");
    Must("golf-pack --quiet --preset pr668 --level 3 --threads 1 " + at +
         "/start/step-00000002.ckpt -o " + at + "/model.ptz");
  }

  // As the system names it, so that paths can be compared.
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  // A golf-train command for the run of `steps` steps; its folder is named below ours.
  std::string Train(const std::string& out, int steps = 4) const {
    const std::string at = path_.string();
    return "golf-train --quiet --threads 1 --recipe " + at +
           "/tiny.toml --set network.vocab_size=300 --set schedule.iterations=" +
           std::to_string(steps) + " --data " + at + "/data/golf_train_000000.bin --val " + at +
           "/data/golf_val_000000.bin --tokenizer " + at + "/data/tokenizer.model --out " + at +
           "/" + out;
  }

 private:
  static void Must(const std::string& command) {
    const Outcome outcome = Shell(command);
    ASSERT_EQ(outcome.code, 0) << command << "\n" << outcome.text;
  }

  TempFolder folder_;
  std::filesystem::path path_ = std::filesystem::canonical(folder_.path());
};

}  // namespace golf::test
