#include "tools/cli.h"

#include <errno.h>  // program_invocation_short_name
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <new>

#include "tools/bus_error.h"

namespace golf {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough that a log file stays readable.
constexpr auto kLogInterval = std::chrono::seconds(10);
constexpr auto kTerminalInterval = std::chrono::milliseconds(200);

std::atomic<bool> stop_requested{false};

void OnStopSignal(int) { stop_requested = true; }

}  // namespace

void AddOutputFlags(CLI::App& app, OutputFlags& output) {
  app.add_flag("--json", output.json, "Print results as one JSON object");
  app.add_flag("--quiet", output.quiet, "Print no progress");
}

int RunProgram(CLI::App& app, int argc, char** argv, const std::function<Status()>& body) {
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
    app.exit(wanted);
    return {};
  } catch (const CLI::ParseError& wrong) {
    return {Code::kUsage,
            fmt::format("{} (see {} --help)", wrong.what(), program_invocation_short_name)};
  } catch (const std::bad_alloc&) {
    return {Code::kIo, "not enough memory"};
  } catch (const std::exception& bug) {
    return {Code::kInternal, bug.what()};
  }
}

int Finish(const Status& status) {
  if (!status.ok()) {
    fmt::print(stderr, "{}: error: {}\n", program_invocation_short_name, status.message());
  }
  return static_cast<int>(status.code());
}

void Warn(std::string_view message) {
  fmt::print(stderr, "{}: warning: {}\n", program_invocation_short_name, message);
}

std::string Grouped(uint64_t n) {
  std::string digits = std::to_string(n);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string Duration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

const std::atomic<bool>& StopRequested() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_handler = OnStopSignal;
    action.sa_flags = SA_RESETHAND | SA_RESTART;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    return true;
  }();
  static_cast<void>(installed);
  return stop_requested;
}

Progress::Progress(std::string label, uint64_t total, std::string unit, const OutputFlags& output,
                   uint64_t first)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      first_(first),
      done_(first),
      silent_(output.json || output.quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      next_(start_ +
            (terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kLogInterval))) {}

Progress::~Progress() {
  if (printed_) Finish();
}

void Progress::Update(uint64_t done, std::string_view note) {
  done_ = done;
  if (silent_ || Clock::now() < next_) return;
  Print(note);
  next_ = Clock::now() +
          (terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kLogInterval));
}

void Progress::Finish() {
  if (silent_ || finished_) return;
  Print({});
  if (terminal_) std::fputc('\n', stderr);
  finished_ = true;
}

void Progress::Print(std::string_view note) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_ - first_) / seconds : 0;
  std::string line = fmt::format("{}: {}", label_, Grouped(done_));
  if (total_ > 0) {
    const double percent = 100 * static_cast<double>(done_) / static_cast<double>(total_);
    line += fmt::format(" of {} {} ({:.1f} %)", Grouped(total_), unit_, percent);
  } else {
    line += " " + unit_;
  }
  line += fmt::format(", {}/s", Grouped(static_cast<uint64_t>(rate)));
  if (total_ > done_ && rate > 0) {
    line += ", " + Duration(static_cast<double>(total_ - done_) / rate) + " left";
  } else {
    line += ", " + Duration(seconds);
  }
  if (!note.empty()) line += fmt::format(", {}", note);
  // \x1b[K clears what a longer line before it left on the terminal.
  const std::string printed = terminal_ ? "\r" + line + "\x1b[K" : line + "\n";
  std::fputs(printed.c_str(), stderr);
  std::fflush(stderr);
  printed_ = true;
}

}  // namespace golf
