// Splitting independent work among threads. The OpenMP region lives in threads.cpp, outside the code that is compiled
// once per instruction set: compilers do not agree on whether an outlined region keeps its function's target.
#pragma once
#include <algorithm>
#include <cstddef>

namespace golf::cpu {

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

// Rows of `width` elements: a thread is worth waking for about 16'000 elements.
template <class F>
void ParallelRows(size_t rows, size_t width, const F& f) {
  ParallelFor(rows, std::max<size_t>(1, 16'384 / std::max<size_t>(width, 1)), f);
}

// Columns, when each is walked over all rows by one thread: sums over rows then have one order. f(begin, end) gets at
// most kSlab columns, so that it can keep their running sums in a small array.
inline constexpr size_t kSlab = 1024;

template <class F>
void ParallelColumns(size_t rows, size_t columns, const F& f) {
  const size_t enough = 16'384 / std::max<size_t>(rows, 1);
  const size_t grain = std::max<size_t>(32, enough / 32 * 32);  // 32 bf16: a cache line
  ParallelFor(columns, grain, [&](size_t begin, size_t end) {
    for (size_t c = begin; c < end; c += kSlab) f(c, std::min(end, c + kSlab));
  });
}

}  // namespace golf::cpu
