// A library for LD_PRELOAD that counts the file operations of a program and makes one of them fail. Settings are environment
// variables:
//   GOLF_FAULT_FOLDER  operations on paths below this folder count (absolute)
//   GOLF_FAULT_NAME    and only those whose path contains this text; empty: all
//   GOLF_FAULT_TRACE   each counted operation is appended to this file: "<name> <path>"
//   GOLF_FAULT_AT      number of the operation that fails, from 1; 0: none
//   GOLF_FAULT_DO      how: the name of an error (ENOSPC, EIO, EINTR, EACCES), "short" (a read or write of half its bytes),
//                      or "kill" (SIGKILL; a write has then written half its bytes)
// Operations: open (also openat, fopen, creat), opendir (any open of a folder as
// such), read, pread, write, pwrite, fsync (also fdatasync), rename, mmap,
// ftruncate, flock, fstat, close, unlink (also unlinkat), mkdir. What libc does inside stdio is not seen.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string Setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct Settings {
  std::string folder = Setting("GOLF_FAULT_FOLDER"), name = Setting("GOLF_FAULT_NAME"),
              trace = Setting("GOLF_FAULT_TRACE"), how = Setting("GOLF_FAULT_DO");
  long at = std::atol(Setting("GOLF_FAULT_AT").c_str());
  int trace_descriptor = -1;

  Settings() {
    if (!trace.empty()) {
      trace_descriptor = static_cast<int>(syscall(SYS_openat, AT_FDCWD, trace.c_str(),
                                                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    }
  }
  int error() const {
    if (how == "ENOSPC") return ENOSPC;
    if (how == "EINTR") return EINTR;
    if (how == "EACCES") return EACCES;
    return EIO;
  }
};

// Made on first use, which may come before any constructor of this library; never destroyed.
const Settings& TheSettings() {
  static const Settings* settings = new Settings;
  return *settings;
}

enum class Fate { kAsUsual, kFails, kShort, kKilled };

Fate Count(const char* operation, const std::string& path) {
  static std::atomic<long> counter{0};
  const Settings& s = TheSettings();
  if (s.folder.empty() || !path.starts_with(s.folder) || path.find(s.name) == std::string::npos)
    return Fate::kAsUsual;
  const long number = ++counter;
  if (s.trace_descriptor >= 0) {
    const std::string line = std::string(operation) + " " + path + "\n";
    syscall(SYS_write, s.trace_descriptor, line.data(), line.size());
  }
  if (number != s.at) return Fate::kAsUsual;
  if (s.how == "kill") return Fate::kKilled;
  if (s.how == "short") return Fate::kShort;
  errno = s.error();
  return Fate::kFails;
}

[[noreturn]] void Die() {
  syscall(SYS_kill, getpid(), SIGKILL);
  std::abort();
}

std::string Absolute(int folder, const char* path) {
  if (path == nullptr || path[0] == '/') return path == nullptr ? "" : path;
  char base[PATH_MAX] = "";
  if (folder == AT_FDCWD) {
    if (getcwd(base, sizeof base) == nullptr) return "";
  } else {
    const std::string link = "/proc/self/fd/" + std::to_string(folder);
    if (readlink(link.c_str(), base, sizeof base - 1) < 0) return "";
  }
  return std::string(base) + "/" + path;
}

std::string PathOf(int descriptor) {
  const int before = errno;
  char path[PATH_MAX] = "";
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  if (descriptor < 0 || readlink(link.c_str(), path, sizeof path - 1) < 0) path[0] = '\0';
  errno = before;
  return path;
}

// True if the operation is to fail; does not return if the process is to die.
bool Fails(const char* operation, const std::string& path) {
  const Fate fate = Count(operation, path);
  if (fate == Fate::kKilled) Die();
  return fate == Fate::kFails;
}

int Open(int folder, const char* path, int flags, mode_t mode) {
  if (Fails((flags & O_DIRECTORY) != 0 ? "opendir" : "open", Absolute(folder, path))) return -1;
  return static_cast<int>(syscall(SYS_openat, folder, path, flags, mode));
}

mode_t ModeOf(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

// A read or write of `bytes`; `transfer` does so many.
template <class Transfer>
ssize_t Move(const char* operation, int descriptor, size_t bytes, const Transfer& transfer) {
  const Fate fate = Count(operation, PathOf(descriptor));
  if (fate == Fate::kFails) return -1;
  if (fate == Fate::kAsUsual) return transfer(bytes);
  const ssize_t moved = transfer(bytes > 1 ? bytes / 2 : bytes);
  if (fate == Fate::kKilled) Die();
  return moved;
}

template <class Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

FILE* OpenStream(const char* symbol, const char* path, const char* mode) {
  if (Fails("open", Absolute(AT_FDCWD, path))) return nullptr;
  return Next<FILE*(const char*, const char*)>(symbol)(path, mode);
}

}  // namespace

// The calls themselves, under libc's names.
extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open(folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open(folder, path, flags, mode);
}
int creat(const char* path, mode_t mode) {
  return Open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
FILE* fopen(const char* path, const char* mode) { return OpenStream("fopen", path, mode); }
FILE* fopen64(const char* path, const char* mode) { return OpenStream("fopen64", path, mode); }
DIR* opendir(const char* path) {
  if (Fails("opendir", Absolute(AT_FDCWD, path))) return nullptr;
  return Next<DIR*(const char*)>("opendir")(path);
}

ssize_t read(int descriptor, void* data, size_t bytes) {
  return Move("read", descriptor, bytes,
              [&](size_t n) { return syscall(SYS_read, descriptor, data, n); });
}
ssize_t pread(int descriptor, void* data, size_t bytes, off_t at) {
  return Move("pread", descriptor, bytes,
              [&](size_t n) { return syscall(SYS_pread64, descriptor, data, n, at); });
}
ssize_t write(int descriptor, const void* data, size_t bytes) {
  return Move("write", descriptor, bytes,
              [&](size_t n) { return syscall(SYS_write, descriptor, data, n); });
}
ssize_t pwrite(int descriptor, const void* data, size_t bytes, off_t at) {
  return Move("pwrite", descriptor, bytes,
              [&](size_t n) { return syscall(SYS_pwrite64, descriptor, data, n, at); });
}

int fsync(int descriptor) {
  if (Fails("fsync", PathOf(descriptor))) return -1;
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}
int fdatasync(int descriptor) {
  if (Fails("fsync", PathOf(descriptor))) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, descriptor));
}
int ftruncate(int descriptor, off_t bytes) noexcept {
  if (Fails("ftruncate", PathOf(descriptor))) return -1;
  return static_cast<int>(syscall(SYS_ftruncate, descriptor, bytes));
}
int flock(int descriptor, int operation) noexcept {
  if (Fails("flock", PathOf(descriptor))) return -1;
  return static_cast<int>(syscall(SYS_flock, descriptor, operation));
}
int fstat(int descriptor, struct stat* info) noexcept {
  if (Fails("fstat", PathOf(descriptor))) return -1;
  return static_cast<int>(syscall(SYS_fstat, descriptor, info));
}
int close(int descriptor) {
  // As Linux does: the descriptor is gone even if close fails.
  const bool fails = Fails("close", PathOf(descriptor));
  const int error = errno;
  const int closed = static_cast<int>(syscall(SYS_close, descriptor));
  if (!fails) return closed;
  errno = error;
  return -1;
}

void* mmap(void* address, size_t bytes, int protection, int flags, int descriptor,
           off_t at) noexcept {
  if (descriptor >= 0 && Fails("mmap", PathOf(descriptor))) return MAP_FAILED;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a system call has no other way to return an address.
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, bytes, protection, flags, descriptor, at));
}

int rename(const char* from, const char* to) noexcept {
  if (Fails("rename", Absolute(AT_FDCWD, to))) return -1;
  return static_cast<int>(syscall(SYS_rename, from, to));
}
int unlink(const char* path) noexcept {
  if (Fails("unlink", Absolute(AT_FDCWD, path))) return -1;
  return static_cast<int>(syscall(SYS_unlink, path));
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  if (Fails("unlink", Absolute(folder, path))) return -1;
  return static_cast<int>(syscall(SYS_unlinkat, folder, path, flags));
}
int mkdir(const char* path, mode_t mode) noexcept {
  if (Fails("mkdir", Absolute(AT_FDCWD, path))) return -1;
  return static_cast<int>(syscall(SYS_mkdir, path, mode));
}

}  // extern "C"
