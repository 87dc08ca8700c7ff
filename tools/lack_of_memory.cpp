#include "tools/lack_of_memory.h"

#include <errno.h>  // program_invocation_short_name
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <new>

#include "kernels/base/status.h"

namespace golf {
namespace {

std::terminate_handler ordinary = nullptr;

// No memory to format anything with.
void OnTerminate() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    for (const char* text :
         {static_cast<const char*>(program_invocation_short_name), ": error: ", kNoMemory, "\n"}) {
      if (write(STDERR_FILENO, text, std::strlen(text)) < 0) break;
    }
    _exit(static_cast<int>(Code::kIo));
  } catch (...) {
  }
  ordinary();
}

// Kernels keep some tens of kilobytes there, libraries not much more.
constexpr size_t kStackBytes = 1 << 20;

[[gnu::noinline]] void TouchStack() {
  constexpr size_t kPage = 4096;
  char stack[kStackBytes];
  volatile char* const page = stack;
  for (size_t i = kStackBytes; i >= kPage; i -= kPage) page[i - 1] = 0;
}

}  // namespace

void ReportLackOfMemory() {
  ordinary = std::set_terminate(OnTerminate);
  rlimit most{};
  if (getrlimit(RLIMIT_STACK, &most) == 0 && most.rlim_cur >= 2 * kStackBytes) TouchStack();
}

}  // namespace golf
