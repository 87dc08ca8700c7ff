#include "tools/print.h"

#include <errno.h>  // program_invocation_short_name
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "artifact/json.h"

namespace golf {
namespace {

constexpr const char* kNames[] = {"standard input", "standard output", "standard error"};

Status arrived;          // the first failure
bool line_open = false;  // a progress line on the terminal waits for its end

void Write(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {  // somebody else's setting of a shared pipe or terminal
      pollfd ready = {descriptor, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      if (arrived.ok()) {
        arrived = {Code::kIo,
                   fmt::format("{}: cannot write: {}", kNames[descriptor], std::strerror(errno))};
      }
      return;
    }
  }
}

// Columns of the terminal; 80 if it does not tell.
size_t TerminalWidth() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

void EndLine() {
  if (line_open) Write(STDERR_FILENO, "\n");
  line_open = false;
}

void PrintText(std::string_view text) {
  EndLine();
  std::string printable;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    printable += Printable(text.substr(0, end));
    if (end < text.size()) printable += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  Write(STDOUT_FILENO, printable);
}

void PrintJson(const nlohmann::ordered_json& json) { PrintText(DumpJson(json, 2) + "\n"); }

void Say(std::string_view line) {
  EndLine();
  Write(STDERR_FILENO, Printable(line) + "\n");
}

void Warn(std::string_view message) {
  Say(fmt::format("{}: warning: {}", program_invocation_short_name, message));
}

Status OutputArrived() { return arrived; }

void RewriteLine(std::string_view line) {
  // A line that reaches the last column would wrap, and the next one could not replace it.
  const std::string printable = Printable(line);
  size_t end = 0;
  for (size_t column = 1; end < printable.size() && column < TerminalWidth(); ++column)
    end += std::max<size_t>(Utf8Length(std::string_view(printable).substr(end)), 1);
  // \x1b[K clears what a longer line before it left on the terminal.
  Write(STDERR_FILENO, fmt::format("\r{}\x1b[K", std::string_view(printable).substr(0, end)));
  line_open = true;
}

void PrepareStreams() {
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // Opened for the other direction. The lower descriptors are open, so this is the one returned.
    const int opened = ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (opened < 0) static_cast<void>(::open("/", O_RDONLY | O_DIRECTORY));
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

std::string Grouped(uint64_t n) {
  std::string digits = std::to_string(n);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string Rate(double per_second) {
  if (!(per_second >= 100)) return fmt::format("{:.3g}", per_second);
  return Grouped(static_cast<uint64_t>(std::llround(std::min(per_second, 1e18))));
}

std::string Duration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<uint64_t>(std::min(seconds, 1e15));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace golf
