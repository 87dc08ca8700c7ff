#include "tools/bus_error.h"

#include <errno.h>  // program_invocation_short_name
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <climits>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kernels/base/printable.h"
#include "kernels/base/status.h"

// A signal handler may call next to nothing of the libraries; what is here are system calls and loops.
namespace golf {
namespace {

void Put(std::string_view text) {
  // There is nothing left to do if this fails.
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

bool ReadHex(const char*& at, uintptr_t& value) {
  const char* const begin = at;
  for (value = 0;; ++at) {
    const char c = *at;
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<uintptr_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value * 16 + static_cast<uintptr_t>(c - 'a' + 10);
    } else {
      return at != begin;
    }
  }
}

// The file of a line of /proc/self/maps ("from-to rights offset device inode path") if the address lies in its range.
const char* FileAt(const char* line, uintptr_t address) {
  uintptr_t from = 0, to = 0;
  if (!ReadHex(line, from) || *line++ != '-' || !ReadHex(line, to)) return nullptr;
  return address >= from && address < to ? std::strchr(line, '/') : nullptr;
}

// Writes the path of the file that is mapped at the address into `line`, which is scratch too.
const char* MappedFileAt(uintptr_t address, char* line, size_t capacity) {
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t length = 0;
  for (char c; maps >= 0 && read(maps, &c, 1) == 1;) {
    if (c != '\n') {
      if (length + 1 < capacity) line[length++] = c;
      continue;
    }
    line[length] = '\0';
    length = 0;
    if (const char* path = FileAt(line, address)) return path;
  }
  return nullptr;
}

void OnBusError(int signal, siginfo_t* info, void*) {
  static char line[PATH_MAX + 256];
  const char* path = MappedFileAt(reinterpret_cast<uintptr_t>(info->si_addr), line, sizeof line);
  if (path == nullptr) {
    ::signal(signal, SIG_DFL);  // the instruction faults again on return
    return;
  }
  ForEachPrintable(program_invocation_short_name, Put);
  Put(": error: ");
  ForEachPrintable(path, Put);
  Put(": cannot read: the file became shorter, or its disk failed\n");
  _exit(static_cast<int>(Code::kIo));
}

}  // namespace

void ReportBusErrors() {
  struct sigaction action = {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace golf
