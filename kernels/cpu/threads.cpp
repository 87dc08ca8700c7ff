#include "kernels/threads.h"

#include <omp.h>

#include "kernels/base/aligned.h"
#include "kernels/base/check.h"
#include "kernels/cpu/parallel.h"

namespace golf {

int Threads() { return omp_get_max_threads(); }

void SetThreads(int threads) {
  GOLF_CHECK(threads >= 1);
  omp_set_num_threads(threads);
}

namespace cpu {

void* ThreadWorkspace(size_t bytes) {
  thread_local AlignedBytes memory;
  thread_local size_t size = 0;
  if (size < bytes) {
    memory = AllocateAligned(bytes);
    GOLF_CHECK(memory != nullptr);
    size = bytes;
  }
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDelete): what is freed is the block before, not this one.
  return memory.get();
}

void RunRanges(size_t count, size_t grain, RangeFunction function, const void* context) {
  if (count == 0) return;
  const size_t pieces = (count + grain - 1) / grain;
  const size_t threads = std::min(pieces, static_cast<size_t>(omp_get_max_threads()));
  if (threads == 1) {
    function(context, 0, count);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(threads))
  for (size_t i = 0; i < threads; ++i) {
    const size_t begin = pieces * i / threads * grain;
    const size_t end = std::min(count, pieces * (i + 1) / threads * grain);
    if (begin < end) function(context, begin, end);
  }
}

}  // namespace cpu
}  // namespace golf
