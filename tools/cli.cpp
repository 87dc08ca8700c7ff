#include "tools/cli.h"

#include <errno.h>  // program_invocation_short_name
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <new>
#include <sstream>
#include <system_error>

#include "kernels/threads.h"
#include "tools/bus_error.h"
#include "tools/lack_of_memory.h"
#include "tools/number_flags.h"

namespace golf {
namespace {

constexpr suseconds_t kGraceMicroseconds = 500'000;

// Signals that follow the first within this time are part of it: timeout(1) and launchers send one to
// the process and one to its group.
constexpr int64_t kOneStopMilliseconds = 500;

std::atomic<bool> stop_requested{false}, saves_before_stopping{false};
std::atomic<int64_t> stopped_at{0};  // milliseconds of the monotonic clock; 0: not yet

// These two are called in the middle of anything: system calls only.
void OnGraceOver(int) {
  for (const char* text : {static_cast<const char*>(program_invocation_short_name),
                           ": error: stopped by a signal\n"}) {
    if (write(STDERR_FILENO, text, std::strlen(text)) < 0) break;
  }
  _exit(static_cast<int>(Code::kInterrupted));
}

void OnStopSignal(int signal) {
  const int error = errno;
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  const int64_t now = int64_t{1000} * time.tv_sec + time.tv_nsec / 1'000'000;
  int64_t first = 0;
  if (stopped_at.compare_exchange_strong(first, now)) {
    stop_requested = true;
    const itimerval grace = {{0, 0}, {0, kGraceMicroseconds}};
    if (!saves_before_stopping) setitimer(ITIMER_REAL, &grace, nullptr);
  } else if (signal != SIGHUP && now - first >= kOneStopMilliseconds) {
    std::signal(signal, SIG_DFL);
    raise(signal);  // takes effect behind this function
  }
  errno = error;
}

}  // namespace

void AddOutputFlags(CLI::App& app, OutputFlags& output) {
  app.add_flag("--json", output.json, "Print results as one JSON object");
  app.add_flag("--quiet", output.quiet, "Print no progress");
}

void AddThreadsFlag(CLI::App& app, int& threads) {
  AddCount(app, "--threads", threads, "CPU threads (default: all cores); no result depends on them",
           {1, kMaxThreads})
      ->type_name("N");
}

int RunProgram(CLI::App& app, int argc, char** argv, const std::function<Status()>& body) {
  PrepareStreams();
  ReportBusErrors();
  ReportLackOfMemory();
  return Finish(ParseAndRun(app, argc, argv, body));
}

Status ParseAndRun(CLI::App& app, int argc, char** argv, const std::function<Status()>& body) {
  app.name(program_invocation_short_name);
  app.set_version_flag("--version", std::string(program_invocation_short_name) + " " GOLF_VERSION);
  try {
    app.parse(argc, argv);
    return body();
  } catch (const CLI::Success& wanted) {  // --help, --version
    std::ostringstream text;
    app.exit(wanted, text, text);
    PrintText(text.str());
    return {};
  } catch (const CLI::ParseError& wrong) {
    return {Code::kUsage,
            fmt::format("{} (see {} --help)", wrong.what(), program_invocation_short_name)};
  } catch (const std::bad_alloc&) {
    return {Code::kIo, kNoMemory};
  } catch (const std::system_error& refused) {  // a name or folder that the system does not accept
    return {Code::kIo, refused.what()};
  } catch (const std::exception& bug) {
    return {Code::kInternal, bug.what()};
  }
}

int Finish(const Status& status) {
  const Status output = OutputArrived();  // before these messages, which may not arrive either
  for (const Status& failed : {status, output}) {
    if (failed.ok()) continue;
    Say(fmt::format("{}: error: {}", program_invocation_short_name, failed.message()));
  }
  return static_cast<int>(status.ok() ? OutputArrived().code() : status.code());
}

const std::atomic<bool>& StopRequested() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_handler = OnStopSignal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    struct sigaction before = {};
    sigaction(SIGHUP, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
    action.sa_handler = OnGraceOver;
    sigaction(SIGALRM, &action, nullptr);
    return true;
  }();
  static_cast<void>(installed);
  return stop_requested;
}

void SaveBeforeStopping() {
  saves_before_stopping = true;
  const itimerval none = {};
  setitimer(ITIMER_REAL, &none, nullptr);  // of a signal that came before
}

}  // namespace golf
