#include "tests/support/failing_calls.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <optional>

namespace golf::test {
namespace {

std::optional<Fault> current;
size_t calls = 0;  // that count
std::string last_met;

// The fault that this call meets, if any; errno is set.
std::optional<int> Met(const char* call) {
  if (!current || (!current->call.empty() && current->call != call)) return std::nullopt;
  ++calls;
  if (calls < current->at || calls >= current->at + current->times) return std::nullopt;
  last_met = call;
  if (current->error > 0) errno = current->error;
  return current->error;
}

// A call that has no other result than success or failure.
template <class Real>
int Call(const char* name, const Real& real) {
  return Met(name) ? -1 : real();
}

template <class Real>
ssize_t Move(const char* name, size_t bytes, const Real& real) {
  const std::optional<int> error = Met(name);
  if (!error) return real(bytes);
  if (*error == kOneByte) return real(1);
  return *error == kEndOfFile ? 0 : -1;
}

}  // namespace

FailingCall::FailingCall(const Fault& fault) {
  calls = 0;
  last_met.clear();
  current = fault;
}

FailingCall::~FailingCall() { current.reset(); }

const std::string& FailingCall::met() const { return last_met; }

}  // namespace golf::test

using golf::test::Call;
using golf::test::Met;
using golf::test::Move;

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
extern "C" {

int __real_open(const char* path, int flags, ...);
int __real_fstat(int descriptor, struct stat* info);
int __real_stat(const char* path, struct stat* info);
int __real_flock(int descriptor, int operation);
void* __real_mmap(void* at, size_t bytes, int protection, int flags, int descriptor, off_t offset);
ssize_t __real_read(int descriptor, void* data, size_t bytes);
ssize_t __real_pread(int descriptor, void* data, size_t bytes, off_t at);
ssize_t __real_write(int descriptor, const void* data, size_t bytes);
int __real_fsync(int descriptor);
int __real_ftruncate(int descriptor, off_t bytes);
int __real_rename(const char* from, const char* to);

int __wrap_open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return Call("open", [&] { return __real_open(path, flags, mode); });
}
int __wrap_fstat(int descriptor, struct stat* info) {
  return Call("fstat", [&] { return __real_fstat(descriptor, info); });
}
int __wrap_stat(const char* path, struct stat* info) {
  return Call("stat", [&] { return __real_stat(path, info); });
}
int __wrap_flock(int descriptor, int operation) {
  return Call("flock", [&] { return __real_flock(descriptor, operation); });
}
void* __wrap_mmap(void* at, size_t bytes, int protection, int flags, int descriptor, off_t offset) {
  if (Met("mmap")) return MAP_FAILED;
  return __real_mmap(at, bytes, protection, flags, descriptor, offset);
}
ssize_t __wrap_read(int descriptor, void* data, size_t bytes) {
  return Move("read", bytes, [&](size_t n) { return __real_read(descriptor, data, n); });
}
ssize_t __wrap_pread(int descriptor, void* data, size_t bytes, off_t at) {
  return Move("pread", bytes, [&](size_t n) { return __real_pread(descriptor, data, n, at); });
}
ssize_t __wrap_write(int descriptor, const void* data, size_t bytes) {
  return Move("write", bytes, [&](size_t n) { return __real_write(descriptor, data, n); });
}
int __wrap_fsync(int descriptor) {
  return Call("fsync", [&] { return __real_fsync(descriptor); });
}
int __wrap_ftruncate(int descriptor, off_t bytes) {
  return Call("ftruncate", [&] { return __real_ftruncate(descriptor, bytes); });
}
int __wrap_rename(const char* from, const char* to) {
  return Call("rename", [&] { return __real_rename(from, to); });
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
