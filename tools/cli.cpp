#include "tools/cli.h"

#include <errno.h>  // program_invocation_short_name

#include <csignal>
#include <new>
#include <sstream>
#include <system_error>

#include "tools/bus_error.h"

namespace golf {
namespace {

std::atomic<bool> stop_requested{false};

void OnStopSignal(int) { stop_requested = true; }

}  // namespace

void AddOutputFlags(CLI::App& app, OutputFlags& output) {
  app.add_flag("--json", output.json, "Print results as one JSON object");
  app.add_flag("--quiet", output.quiet, "Print no progress");
}

int RunProgram(CLI::App& app, int argc, char** argv, const std::function<Status()>& body) {
  PrepareStreams();
  ReportBusErrors();
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
    return {Code::kIo, "not enough memory"};
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
    action.sa_flags = SA_RESETHAND | SA_RESTART;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    // The end of a terminal sends several.
    action.sa_flags = SA_RESTART;
    struct sigaction before = {};
    sigaction(SIGHUP, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
    return true;
  }();
  static_cast<void>(installed);
  return stop_requested;
}

}  // namespace golf
