// How many threads work, and a loop that shares independent tasks among them. No result depends on the number.
#pragma once
#include <cstddef>

namespace golf {

// More cost memory and bring nothing.
inline constexpr int kMaxThreads = 1024;

// Of the calling thread: at first OMP_NUM_THREADS, or else the number of cores that the process may use.
int Threads();
void SetThreads(int threads);  // 1 .. kMaxThreads

using TaskFunction = void (*)(const void* context, size_t task);

// Calls function(context, task) for the tasks 0 .. count - 1, begun in this order, each on the next thread that is free, or
// all on this one unless `share`. The first exception that a task throws is thrown here after all threads have ended.
void RunTasks(size_t count, bool share, TaskFunction function, const void* context);

// f(task). `share` is for work that is worth waking threads for: a tenth of a millisecond and more.
template <class F>
void ParallelTasks(size_t count, bool share, const F& f) {
  RunTasks(
      count, share,
      [](const void* context, size_t task) { (*static_cast<const F*>(context))(task); }, &f);
}

}  // namespace golf
