// Every file operation of every program fails once, in each way that it can: the program says which file and why, leaves no
// half file under a final name, harms nothing that was there, and does its work when it is called again.
//
// ctest takes a sample of operations and errors; GOLF_FAULTS=all in the environment takes all.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "artifact/checkpoint.h"
#include "tests/faults/small_run.h"

namespace golf::test {
namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;  // path below the output folder -> content

struct Operation {
  std::string name, path;
};

// One way to fail, and what the program has to make of it.
struct Fault {
  std::string how;
  int error;      // 0: none is to be reported
  bool survived;  // exit code 0 and the same output as without it
};

std::vector<Fault> FaultsOf(const std::string& operation) {
  const Fault full{"ENOSPC", ENOSPC, false}, broken{"EIO", EIO, false},
      forbidden{"EACCES", EACCES, false}, interrupted{"EINTR", 0, true}, partial{"short", 0, true};
  if (operation == "open") return {forbidden, broken, full, interrupted};
  if (operation == "read" || operation == "pread") return {broken, interrupted, partial};
  if (operation == "write" || operation == "pwrite") return {full, broken, interrupted, partial};
  if (operation == "fsync" || operation == "ftruncate") return {broken, full, interrupted};
  if (operation == "flock") return {broken, interrupted};
  if (operation == "fstat") return {broken};
  if (operation == "rename" || operation == "mkdir") return {forbidden, full, broken};
  // What was written is on the disk by then (fsync), so that a failing close loses nothing.
  if (operation == "close") return {{"EIO", 0, true}, {"EINTR", 0, true}};
  return {forbidden, broken};  // opendir, mmap, unlink
}

bool IsTemporary(const std::string& path) { return path.find(".partial") != std::string::npos; }

// Files whose content is not the same in every run, and which are looked at by other means.
bool Varies(const std::string& path) {
  return path.ends_with(".ckpt") || path.ends_with(".lock") || path.ends_with("log.jsonl") ||
         path.ends_with(".json") || path.find("tfevents") != std::string::npos;
}

class FailingIo : public testing::Test {
 protected:
  // Tries `command`, which writes below out(), with every fault. `before` fills the folder.
  void Sweep(const std::string& command, const std::function<void()>& before) {
    before_ = before;
    command_ = command;
    Prepare();
    const Files initial = Output();
    const Outcome whole = Run(0, "");
    ASSERT_EQ(whole.code, 0) << whole.text;
    whole_ = Output();
    const std::vector<Operation> operations = Trace();
    ASSERT_GT(operations.size(), 5U);
    size_t runs = 0;
    for (const auto& [number, fault] : Chosen(operations)) {
      const Operation& operation = operations[number - 1];
      SCOPED_TRACE(operation.name + " " + operation.path + ", operation " + std::to_string(number) +
                   ", " + fault.how + "\n" + command);
      ++runs;
      Prepare();
      const Outcome outcome = Run(number, fault.how);
      const std::vector<Operation> met = Trace();
      ASSERT_GE(met.size(), number) << "the fault was not met";
      Judge(met[number - 1], fault, outcome);  // of this run: names may hold the time
      CheckOutput(initial);
      if (operation.name != "unlink") {
        for (const auto& [path, content] : Output())
          EXPECT_FALSE(path.ends_with(".partial")) << path << " was left behind";
      }
      // golf-data refuses a folder in use; where its work was done before the fault there is nothing left to do.
      const bool refuses_again = command.starts_with("golf-data") && fs::exists(out() + "/data");
      if (outcome.code != 0 && !refuses_again) {
        const Outcome again = Run(0, "");
        EXPECT_EQ(again.code, 0) << "a second run: " << again.text;
      }
      EXPECT_TRUE(Same(Output())) << "the final output is another than without a fault";
      for (const auto& [path, content] : Output()) EXPECT_FALSE(IsTemporary(path)) << path;
      if (HasFailure()) return;
    }
    std::printf("%zu operations, %zu runs with a fault\n", operations.size(), runs);
  }

  std::string out() const { return files_ / "out"; }

  SmallRun files_;

 private:
  using Choice = std::vector<std::pair<size_t, Fault>>;  // operation number from 1

  // All, or of each kind of operation on each kind of file the first or the last, with errors taking turns.
  static Choice Chosen(const std::vector<Operation>& operations) {
    const char* wanted = std::getenv("GOLF_FAULTS");
    const bool all = wanted != nullptr && std::string(wanted) == "all";
    std::map<std::string, std::vector<size_t>> groups;
    Choice chosen;
    for (size_t i = 0; i < operations.size(); ++i) {
      if (all) {
        for (const Fault& f : FaultsOf(operations[i].name)) chosen.emplace_back(i + 1, f);
      }
      std::string key = operations[i].name + " " + operations[i].path;
      std::erase_if(key, [](char c) { return c >= '0' && c <= '9'; });
      groups[key].push_back(i + 1);
    }
    if (all) return chosen;
    size_t turn = 0;
    for (const auto& [key, numbers] : groups) {
      const std::vector<Fault> faults = FaultsOf(operations[numbers[0] - 1].name);
      const size_t number = turn % 2 == 0 ? numbers.front() : numbers.back();
      chosen.emplace_back(number, faults[turn++ % faults.size()]);
    }
    return chosen;
  }

  void Prepare() const {
    fs::remove_all(out());
    fs::create_directories(out());
    before_();
  }

  Outcome Run(size_t number, const std::string& how) const {
    const std::string trace = files_ / "trace";
    fs::remove(trace);
    return Shell("LD_PRELOAD=" GOLF_FAILING_IO " GOLF_FAULT_FOLDER=" + (files_ / "") +
                 " GOLF_FAULT_TRACE=" + trace + " GOLF_FAULT_AT=" + std::to_string(number) +
                 " GOLF_FAULT_DO=" + how + " " + command_);
  }

  std::vector<Operation> Trace() const {
    std::vector<Operation> operations;
    std::ifstream in(files_ / "trace");
    for (std::string line; std::getline(in, line);) {
      const size_t space = line.find(' ');
      operations.push_back({line.substr(0, space), line.substr(space + 1)});
    }
    return operations;
  }

  Files Output() const {
    Files files;
    for (const auto& entry : fs::recursive_directory_iterator(out())) {
      if (entry.is_regular_file())
        files[fs::relative(entry.path(), out()).string()] = ReadAll(entry.path().string());
    }
    return files;
  }

  static void Judge(const Operation& operation, const Fault& fault, const Outcome& outcome) {
    if (fault.survived) {
      EXPECT_EQ(outcome.code, 0) << outcome.text;
      return;
    }
    EXPECT_EQ(outcome.code, static_cast<int>(Code::kIo)) << outcome.text;
    // Of a whole folder that cannot be deleted, the folder is named.
    fs::path path = operation.path;
    if (operation.name == "unlink") path = path.parent_path();
    EXPECT_NE(outcome.text.find(path.string()), std::string::npos) << outcome.text;
    EXPECT_NE(outcome.text.find(std::strerror(fault.error)), std::string::npos) << outcome.text;
  }

  // What bears a final name is whole: as it was before, or as it will be.
  void CheckOutput(const Files& initial) const {
    size_t checkpoints = 0, checkpoints_before = 0;
    for (const auto& [path, content] : initial) checkpoints_before += path.ends_with(".ckpt");
    for (const auto& [path, content] : Output()) {
      if (IsTemporary(path)) continue;
      if (path.ends_with(".ckpt")) {
        ++checkpoints;
        EXPECT_TRUE(Checkpoint::Open(out() + "/" + path).ok()) << path;
      }
      if (path.ends_with(".json")) {
        EXPECT_TRUE(nlohmann::json::accept(content)) << path;
      }
      // An audit log grows record by record; one without its end record is refused by its reader.
      if (Varies(path) || path.ends_with(".audit")) continue;
      const auto before = initial.find(path), after = whole_.find(path);
      EXPECT_TRUE((before != initial.end() && before->second == content) ||
                  (after != whole_.end() && after->second == content))
          << path << " is neither the old file nor the new one";
    }
    EXPECT_GE(checkpoints, std::min<size_t>(checkpoints_before, 1)) << "no checkpoint is left";
  }

  // The files that a run without faults leaves, with the same content where it does not vary by nature.
  bool Same(const Files& files) const {
    for (const auto& [path, content] : whole_) {
      if (path.find("tfevents") != std::string::npos) continue;  // their names hold the time
      const auto found = files.find(path);
      if (found == files.end() || (!Varies(path) && found->second != content)) return false;
      if (!path.ends_with("log.jsonl")) continue;
      std::istringstream lines(found->second);
      for (std::string line; std::getline(lines, line);) {
        if (!nlohmann::json::accept(line)) return false;
      }
    }
    for (const auto& [path, content] : files) {
      // Checkpoints whose deletion failed may stay.
      if (!whole_.contains(path) && !Varies(path)) return false;
    }
    return true;
  }

  std::string command_;
  std::function<void()> before_;
  Files whole_;
};

TEST_F(FailingIo, LosesNoTraining) {
  Sweep(files_.Train("out/run") + " --resume --checkpoint-every 1 --keep 2 --export " + out() +
            "/export.safetensors",
        [&] {
          fs::create_directories(out() + "/run");
          fs::copy(files_ / "start/step-00000001.ckpt", out() + "/run/step-00000001.ckpt");
          fs::copy(files_ / "start/step-00000002.ckpt", out() + "/run/step-00000002.ckpt");
        });
}

TEST_F(FailingIo, LeavesTheOldArtifactOrTheNew) {
  Sweep("golf-pack --quiet --preset pr668 --level 3 --threads 1 " +
            (files_ / "start/step-00000002.ckpt") + " -o " + out() + "/model.ptz --code " +
            (files_ / "text.txt"),
        [&] { std::ofstream(out() + "/model.ptz") << "precious"; });
}

TEST_F(FailingIo, ScoresOrSaysWhyNot) {
  Sweep("golf-run --quiet --threads 1 --stride 4 " + (files_ / "model.ptz") + " " +
            (files_ / "data/golf_val_000000.bin") + " --limit-tokens 200 --audit " + out() +
            "/run.audit --force --receipt " + out() + "/receipt.json",
        [] {});
}

TEST_F(FailingIo, WritesAWholeDatasetOrNone) {
  Sweep("golf-data encode --quiet --val-every 5 --tokenizer " + (files_ / "data/tokenizer.model") +
            " --shard-tokens 500 --output " + out() + "/data " + (files_ / "text.txt"),
        [&] {  // what a killed run leaves
          fs::create_directories(out() + "/data.partial");
          std::ofstream(out() + "/data.partial/.golf-data");
          std::ofstream(out() + "/data.partial/golf_train_000099.bin") << "stale";
        });
}

TEST_F(FailingIo, ExportsAllWeightsOrNone) {
  Sweep("golf-inspect --quiet " + (files_ / "model.ptz") + " --verify --export " + out() +
            "/weights.safetensors",
        [] {});
}

}  // namespace
}  // namespace golf::test
