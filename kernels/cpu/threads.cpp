#include "kernels/threads.h"

#include <omp.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

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
namespace {

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Until flag != value: for `awake` without giving up the core, since kernels follow one another within microseconds; then
// asleep, since other programs want it too. (OpenMP's threads know one or the other: libgomp's stay awake for
// milliseconds.)
void WaitWhile(const std::atomic<uint32_t>& flag, uint32_t value, std::chrono::microseconds awake) {
  constexpr int kPauses = 32;  // between two looks at the clock
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kPauses; ++i) {
      if (flag.load(std::memory_order_acquire) != value) return;
      Pause();
    }
  } while (std::chrono::steady_clock::now() - start < awake);
  while (flag.load(std::memory_order_acquire) == value) flag.wait(value, std::memory_order_acquire);
}

// Threads that wait for work until the process ends: nobody destroys the pool.
class Pool {
 public:
  // False if the pool is busy for somebody else, whom to wait for could take forever.
  bool Run(size_t count, WorkerFunction function, const void* context) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    const size_t helpers = Grow(count - 1);
    function_ = function;
    context_ = context;
    crowded_.store(count > cores_, std::memory_order_relaxed);
    pending_.store(static_cast<uint32_t>(helpers), std::memory_order_relaxed);
    for (size_t i = 0; i < helpers; ++i) {
      workers_[i]->turn.fetch_add(1, std::memory_order_release);
      workers_[i]->turn.notify_one();
    }
    function(context, 0);
    for (size_t i = helpers + 1; i < count; ++i)
      function(context, i);  // there was no thread to have
    for (uint32_t left = pending_.load(std::memory_order_acquire); left != 0;
         left = pending_.load(std::memory_order_acquire)) {
      WaitWhile(pending_, left, Awake());
    }
    return true;
  }

 private:
  struct alignas(64) Worker {
    std::atomic<uint32_t> turn{0};  // counts the jobs that this worker takes part in
  };

  // How many of `wanted` workers there are.
  size_t Grow(size_t wanted) {
    while (workers_.size() < wanted) {
      auto worker = std::make_unique<Worker>();
      try {
        std::thread(&Pool::Work, this, worker.get(), workers_.size() + 1).detach();
      } catch (const std::system_error&) {
        return workers_.size();
      }
      workers_.push_back(std::move(worker));
    }
    return wanted;
  }

  void Work(Worker* worker, size_t index);

  // Who waits for a thread that has no core had better leave it his.
  std::chrono::microseconds Awake() const {
    return std::chrono::microseconds(crowded_.load(std::memory_order_relaxed) ? 0 : 20);
  }

  const size_t cores_ = static_cast<size_t>(omp_get_num_procs());
  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
  WorkerFunction function_ = nullptr;  // the job, which only those whose turn it is look at
  const void* context_ = nullptr;
  std::atomic<bool> crowded_{false};  // more workers than cores
  std::atomic<uint32_t> pending_{0};  // workers that have not finished it
};

thread_local bool in_parallel = false;

void Pool::Work(Worker* worker, size_t index) {
  in_parallel = true;
  for (uint32_t turn = 0;; ++turn) {
    WaitWhile(worker->turn, turn, Awake());
    function_(context_, index);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  }
}

std::atomic<Pool*> pool;

Pool& ThePool() {
  // A child of fork() has none of its parent's threads.
  [[maybe_unused]] static const int once = [] {
    pool = new Pool;
    return pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
  }();
  return *pool;
}

}  // namespace

void RunWorkers(size_t count, WorkerFunction function, const void* context) {
  if (count > 1 && !in_parallel) {
    in_parallel = true;
    const bool ran = ThePool().Run(count, function, context);
    in_parallel = false;
    if (ran) return;
  }
  for (size_t i = 0; i < count; ++i) function(context, i);
}

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
  const size_t threads = std::min(pieces, static_cast<size_t>(Threads()));
  ParallelWorkers(threads, [&](size_t i) {
    const size_t begin = pieces * i / threads * grain;
    const size_t end = std::min(count, pieces * (i + 1) / threads * grain);
    if (begin < end) function(context, begin, end);
  });
}

}  // namespace cpu
}  // namespace golf
