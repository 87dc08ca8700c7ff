// Calls of the system that fail on request, to see what readers and writers make of it. A program that links
// golf::failing_calls calls these in libc's place (the linker's --wrap); calls that shared libraries make do not count.
#pragma once
#include <cstddef>
#include <string>

namespace golf::test {

// In place of an errno, for read, pread and write: one byte is moved; the file ends.
constexpr int kOneByte = -1, kEndOfFile = -2;

struct Fault {
  int error = 0;  // errno, or one of those above
  // One of open, fstat, stat, flock, mmap, read, pread, write, fsync, ftruncate, rename; empty: any.
  std::string call = "";
  size_t at = 1;     // number of the call that fails, from 1
  size_t times = 1;  // it and those behind it
};

// The fault, while this lives. One at a time, in one thread.
class FailingCall {
 public:
  explicit FailingCall(const Fault& fault);
  ~FailingCall();
  FailingCall(const FailingCall&) = delete;
  FailingCall& operator=(const FailingCall&) = delete;

  // The call that failed last; empty: none did.
  const std::string& met() const;
};

// Runs `work` and `check` its result: with its first call failing, its second and so on, until it makes no more.
// Returns how many failed.
template <class Work, class Check>
size_t EachCallFails(Fault fault, const Work& work, const Check& check) {
  for (;; ++fault.at) {
    const FailingCall failing(fault);
    const auto result = work();
    const std::string& met = failing.met();
    if (met.empty()) return fault.at - 1;
    check(met, result);
  }
}

}  // namespace golf::test
