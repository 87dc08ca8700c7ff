#include "kernels/threads.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/base/aligned.h"
#include "kernels/base/check.h"
#include "kernels/cpu/parallel.h"

namespace golf {

namespace {

// Cores that this process may use.
int Cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));  // more than 1,024
}

int DefaultThreads() {
  static const int threads = [] {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment
    const char* wanted = std::getenv("OMP_NUM_THREADS");
    const long number = wanted == nullptr ? 0 : std::strtol(wanted, nullptr, 10);
    return number < 1 ? std::min(Cores(), kMaxThreads)
                      : static_cast<int>(std::min<long>(number, kMaxThreads));
  }();
  return threads;
}

thread_local int chosen_threads = 0;  // 0: the default

}  // namespace

int Threads() { return chosen_threads > 0 ? chosen_threads : DefaultThreads(); }

void SetThreads(int threads) {
  GOLF_CHECK(threads >= 1 && threads <= kMaxThreads);
  chosen_threads = threads;
}

void RunTasks(size_t count, bool share, TaskFunction function, const void* context) {
  std::atomic<size_t> next{0};
  const size_t threads = share ? std::min(count, static_cast<size_t>(Threads())) : 1;
  cpu::ParallelWorkers(threads, [&](size_t /*worker*/) {
    for (size_t i = next++; i < count; i = next++) function(context, i);
  });
}

namespace cpu {
namespace {

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Until flag != value: for `awake` without giving up the core, since kernels follow one another within microseconds; then
// asleep, since other programs want it too.
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
  // False if the pool is busy for another thread: to wait for that could take forever. Throws the first exception that a
  // worker threw, once all have ended.
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
    Attempt(0);
    for (size_t i = helpers + 1; i < count; ++i) Attempt(i);  // the system refused a thread
    for (uint32_t left = pending_.load(std::memory_order_acquire); left != 0;
         left = pending_.load(std::memory_order_acquire)) {
      WaitWhile(pending_, left, Awake());
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return true;
  }

 private:
  struct alignas(64) Worker {
    std::atomic<uint32_t> turn{0};  // counts the jobs that this worker takes part in
  };

  // How many of `wanted` workers there are. The system may refuse threads, or memory for one.
  size_t Grow(size_t wanted) {
    while (workers_.size() < wanted) {
      try {
        workers_.reserve(workers_.size() + 1);  // a running thread must not lose its Worker
        auto worker = std::make_unique<Worker>();
        std::thread(&Pool::Work, this, worker.get(), workers_.size() + 1).detach();
        workers_.push_back(std::move(worker));
      } catch (const std::exception&) {  // std::system_error or std::bad_alloc
        return workers_.size();
      }
    }
    return wanted;
  }

  void Work(Worker* worker, size_t index);

  // An exception that left a thread would end the process.
  void Attempt(size_t index) noexcept {
    try {
      function_(context_, index);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  // When threads outnumber cores, do not spin: the waiter may occupy the core that the worker needs.
  std::chrono::microseconds Awake() const {
    return std::chrono::microseconds(crowded_.load(std::memory_order_relaxed) ? 0 : 20);
  }

  const size_t cores_ = static_cast<size_t>(Cores());
  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex error_mutex_;
  std::exception_ptr error_;           // the first that a worker threw
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
    Attempt(index);
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
    struct Scope {
      Scope() { in_parallel = true; }
      ~Scope() { in_parallel = false; }
    } const scope;
    if (ThePool().Run(count, function, context)) return;
  }
  for (size_t i = 0; i < count; ++i) function(context, i);
}

void* ThreadWorkspace(size_t bytes) {
  thread_local AlignedBytes memory;
  thread_local size_t size = 0;
  if (size < bytes) {
    memory.reset();
    size = 0;
    memory = AllocateAligned(bytes);
    if (memory == nullptr) throw std::bad_alloc();
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
