// What every program's main() shares: parsing with the project's exit codes, --json/--quiet, stop
// signals; with print.h and progress.h, whatever is printed.
//
//   int main(int argc, char** argv) {
//     CLI::App app{"Scores an artifact on token shards."};
//     golf::OutputFlags output;
//     golf::AddOutputFlags(app, output);
//     ...
//     return golf::RunProgram(app, argc, argv, [&] { return Score(options, output); });
//   }
//
// Results go to stdout by Print() (with --json: one JSON object and nothing else); progress and
// errors go to stderr.
#pragma once
#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "kernels/base/status.h"
#include "tools/print.h"
#include "tools/progress.h"

namespace golf {

// --json and --quiet.
void AddOutputFlags(CLI::App& app, OutputFlags& output);

// --threads N, 1 .. kMaxThreads, for SetThreads() where it is given; `threads` stays 0 where it is not.
void AddThreadsFlag(CLI::App& app, int& threads);

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

// Parses the command line, then runs `body`; the return value is main's. --help and --version print
// and return 0. A wrong command line is Code::kUsage. Exceptions of the standard library are kIo where
// memory is missing or the system refuses something, and otherwise Code::kInternal.
int RunProgram(CLI::App& app, int argc, char** argv, const std::function<Status()>& body);
// The same short of main's return value: what went wrong is still to be printed, by Finish().
Status ParseAndRun(CLI::App& app, int argc, char** argv, const std::function<Status()>& body);

// Prints `golf-x: error: message` to stderr unless ok, and the same if output did not arrive. Returns
// the exit code: that of `status`, or 3 if only output was lost.
int Finish(const Status& status);

// Becomes true with the first SIGINT, SIGTERM or SIGHUP after this was called. Signals within half a
// second of the first are part of it (timeout and launchers send two); a later SIGINT or SIGTERM ends
// the process as usual. SIGHUP stays ignored where it was (nohup). Long passes and libraries do not
// look at it: half a second after the first signal the process is ended with
// Code::kInterrupted, unless SaveBeforeStopping() was called.
const std::atomic<bool>& StopRequested();

// From here on the program saves its state when it is to stop, and is left the time that this takes.
void SaveBeforeStopping();

}  // namespace golf
