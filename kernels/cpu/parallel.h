// Splitting independent work among threads.
#pragma once
#include <algorithm>
#include <cstddef>

namespace golf::cpu {

using WorkerFunction = void (*)(const void* context, size_t worker);

// Calls function(context, worker) for the workers 0 .. count - 1, each on a thread, the caller's among them; in turn where the
// caller is a worker, the pool is busy or threads are refused. Then throws the first exception that a worker threw, if any.
void RunWorkers(size_t count, WorkerFunction function, const void* context);

// f(worker)
template <class F>
void ParallelWorkers(size_t count, const F& f) {
  RunWorkers(
      count, [](const void* context, size_t worker) { (*static_cast<const F*>(context))(worker); },
      &f);
}

using RangeFunction = void (*)(const void* context, size_t begin, size_t end);

// Calls function(context, begin, end) on disjoint ranges that cover [0, count), each on its own thread. Boundaries
// are multiples of `grain`, so at most count / grain threads work.
void RunRanges(size_t count, size_t grain, RangeFunction function, const void* context);

// f(begin, end) must give the same results for any partition.
template <class F>
void ParallelFor(size_t count, size_t grain, const F& f) {
  RunRanges(
      count, grain,
      [](const void* context, size_t begin, size_t end) {
        (*static_cast<const F*>(context))(begin, end);
      },
      &f);
}

// The calling thread's scratch memory, 64-byte aligned and good until its next call. It is kept between calls: fresh pages
// would cost more than small calls do. Throws std::bad_alloc.
void* ThreadWorkspace(size_t bytes);

// Rows of `width` elements: a thread is worth waking for about 16'000 elements.
template <class F>
void ParallelRows(size_t rows, size_t width, const F& f) {
  ParallelFor(rows, std::max<size_t>(1, 16'384 / std::max<size_t>(width, 1)), f);
}

// Columns, when each is walked over all rows by one thread.
template <class F>
void ParallelColumns(size_t rows, size_t columns, const F& f) {
  const size_t enough = 16'384 / std::max<size_t>(rows, 1);
  ParallelFor(columns, std::max<size_t>(32, enough / 32 * 32), f);  // 32 bf16: a cache line
}

// At most kSlab columns at a time, so that numbers for each fit into a small array.
inline constexpr size_t kSlab = 2048;

template <class F>
void ForSlabs(size_t columns, const F& f) {
  for (size_t c = 0; c < columns; c += kSlab) f(c, std::min(columns, c + kSlab));
}

}  // namespace golf::cpu
