// What every program's main() shares: parsing with the project's exit codes, --json/--quiet, progress, stop signals.
//
//   int main(int argc, char** argv) {
//     CLI::App app{"Scores an artifact on token shards."};
//     golf::OutputFlags output;
//     golf::AddOutputFlags(app, output);
//     ...
//     return golf::RunProgram(app, argc, argv, [&] { return Score(options, output); });
//   }
//
// Results go to stdout (with --json: one JSON object and nothing else); progress and errors go to stderr.
#pragma once
#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "kernels/base/status.h"

namespace golf {

struct OutputFlags {
  bool json = false;   // results as JSON on stdout, no progress
  bool quiet = false;  // no progress
};

// --json and --quiet.
void AddOutputFlags(CLI::App& app, OutputFlags& output);

// For transform(): a value by its name, and nothing else.
template <class T>
CLI::Validator OneOf(const std::map<std::string, T>& names) {
  return CLI::Validator(
      [names](std::string& text) {
        const auto found = names.find(text);
        if (found == names.end()) {
          std::string expected;
          for (const auto& [name, value] : names) expected += (expected.empty() ? "" : ", ") + name;
          return "expected one of " + expected + ", found '" + text + "'";
        }
        text = std::to_string(static_cast<int>(found->second));  // as CLI11 reads enumerations
        return std::string();
      },
      "");
}

// Parses the command line, then runs `body`; the return value is main's. --help and --version print and return 0. A wrong
// command line is Code::kUsage; exceptions of the standard library become Code::kInternal (out of memory: kIo).
int RunProgram(CLI::App& app, int argc, char** argv, const std::function<Status()>& body);
// The same short of main's return value: what went wrong is still to be printed, by Finish().
Status ParseAndRun(CLI::App& app, int argc, char** argv, const std::function<Status()>& body);

// Prints `golf-x: error: message` to stderr unless ok. Returns the exit code.
int Finish(const Status& status);

// Prints `golf-x: warning: message` to stderr.
void Warn(std::string_view message);

// 16000000 -> "16,000,000".
std::string Grouped(uint64_t n);

// Seconds as people read them: "4.2 s", "3 min 07 s", "2 h 05 min".
std::string Duration(double seconds);

// Becomes true with the first SIGINT or SIGTERM after this was called; a second signal ends the process as usual.
const std::atomic<bool>& StopRequested();

// How far a long step is, with rate and time left, on stderr. On a terminal one line that is rewritten; otherwise a
// line at most every ten seconds. Says nothing with --json or --quiet.
class Progress {
 public:
  // `total` in `unit`s ("tokens", "bytes"); 0 if unknown. `first` of them were done before (a resumed run).
  Progress(std::string label, uint64_t total, std::string unit, const OutputFlags& output,
           uint64_t first = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` units in all; `note` is appended (a loss, memory). Cheap: prints only when a line is due.
  void Update(uint64_t done, std::string_view note = {});
  // Prints the final state. The destructor does so too, if something was printed before.
  void Finish();

 private:
  void Print(std::string_view note);

  std::string label_, unit_;
  uint64_t total_, first_, done_;
  bool silent_, terminal_;
  bool printed_ = false, finished_ = false;
  std::chrono::steady_clock::time_point start_, next_;
};

}  // namespace golf
