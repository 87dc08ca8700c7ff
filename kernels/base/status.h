// Errors as values: what the outside world decides (files, flags, devices) returns a Status or a Result<T>.
// Bugs abort through GOLF_CHECK (check.h). We throw nothing; main() maps Code to the process's exit code.
#pragma once
#include <optional>
#include <string>
#include <utility>

namespace golf {

// Doubles as the exit code of every program.
enum class Code : int {
  kOk = 0,
  kUsage = 2,        // a flag, a recipe or a combination of them is wrong
  kIo = 3,           // a file or folder cannot be opened, read or written
  kBadData = 4,      // a file is damaged, hostile or of another kind
  kOverBudget = 5,   // artifact + code exceed --max-bytes, or a run its time limit
  kNoDevice = 6,     // the device asked for is not there
  kBadNumbers = 7,   // a NaN or infinity in a loss or gradient
  kBusy = 8,         // another process holds the output folder
  kInterrupted = 9,  // SIGINT, SIGTERM or SIGHUP; the state was saved
  kInternal = 70,
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const {
    return message_;
  }  // what, where, expected, found, next step

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value, or the reason why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace golf

// Returns early with the Status of `expr` unless it is ok.
#define GOLF_TRY(expr)                                   \
  do {                                                   \
    if (::golf::Status s_ = (expr); !s_.ok()) return s_; \
  } while (0)

// Declares `lhs` from the value of a Result, or returns its Status. Two statements: needs braces after an `if`.
#define GOLF_CONCAT_INNER(a, b) a##b
#define GOLF_CONCAT(a, b) GOLF_CONCAT_INNER(a, b)
#define GOLF_ASSIGN(lhs, expr) GOLF_ASSIGN_IMPL(GOLF_CONCAT(result_, __LINE__), lhs, expr)
// NOLINTBEGIN(bugprone-macro-parentheses): names cannot be in parentheses
#define GOLF_ASSIGN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                     \
  if (!tmp.ok()) return tmp.status();    \
  lhs = std::move(*tmp)
// NOLINTEND(bugprone-macro-parentheses)
