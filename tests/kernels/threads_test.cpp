#include "kernels/threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace golf::cpu {
namespace {

// Times each worker was called.
std::vector<int> Calls(size_t workers) {
  std::vector<int> calls(workers);
  ParallelWorkers(workers, [&](size_t worker) { ++calls[worker]; });
  return calls;
}

TEST(ParallelWorkers, AreEachCalledOnce) {
  for (const size_t workers : {0, 1, 2, 7, 3, 16, 2}) {
    EXPECT_EQ(Calls(workers), std::vector<int>(workers, 1));
  }
}

TEST(ParallelWorkers, HaveAThreadOfTheirOwnEach) {
  std::array<std::thread::id, 3> ids;
  std::atomic<size_t> here{0};
  ParallelWorkers(ids.size(), [&](size_t worker) {
    ids[worker] = std::this_thread::get_id();
    ++here;
    while (here < ids.size()) std::this_thread::yield();  // all are there at the same time
  });
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_NE(ids[1], ids[0]);
  EXPECT_NE(ids[2], ids[0]);
  EXPECT_NE(ids[2], ids[1]);
}

// Short jobs, one right after the other, and some after which the workers have fallen asleep.
TEST(ParallelWorkers, MissNoJob) {
  std::array<uint64_t, 4> sums{};
  for (uint64_t job = 1; job <= 3'000; ++job) {
    ParallelWorkers(2 + job % 3, [&](size_t worker) { sums[worker] += job; });
    if (job % 100 == 0) usleep(300);
  }
  uint64_t all = 0;
  for (uint64_t job = 1; job <= 3'000; ++job) all += job * (2 + job % 3);
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), uint64_t{0}), all);
}

TEST(ParallelWorkers, WorkInTurnInsideAWorker) {
  std::array<std::vector<int>, 3> calls;
  ParallelWorkers(calls.size(), [&](size_t worker) { calls[worker] = Calls(4); });
  for (const std::vector<int>& inner : calls) EXPECT_EQ(inner, std::vector<int>(4, 1));
}

TEST(ParallelWorkers, ServeSeveralThreadsAtOnce) {
  constexpr int kJobs = 2000;
  std::array<std::array<int, 3>, 4> sums{};
  std::vector<std::thread> threads;
  threads.reserve(sums.size());
  for (auto& mine : sums) {
    threads.emplace_back([&mine] {
      for (int i = 0; i < kJobs; ++i) {
        ParallelWorkers(mine.size(), [&mine](size_t worker) { ++mine[worker]; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : sums) EXPECT_EQ(mine, (std::array<int, 3>{kJobs, kJobs, kJobs}));
}

TEST(ParallelWorkers, WorkInAForkedChild) {
  ASSERT_EQ(Calls(3), std::vector<int>(3, 1));  // the parent has workers, the child none
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);
    _exit(Calls(3) == std::vector<int>(3, 1) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// An exception that left a thread of the pool would end the process.
TEST(ParallelWorkers, ThrowOnToTheCaller) {
  for (const size_t thrower : {0, 2}) {
    std::array<std::atomic<int>, 4> calls{};
    EXPECT_THROW(ParallelWorkers(calls.size(),
                                 [&](size_t worker) {
                                   ++calls[worker];
                                   if (worker == thrower) throw std::bad_alloc();
                                 }),
                 std::bad_alloc);
    for (const auto& count : calls) EXPECT_EQ(count, 1);
    EXPECT_EQ(Calls(4), std::vector<int>(4, 1));  // the pool goes on
  }
}

TEST(ParallelTasks, RunEachOnceAndThrowOn) {
  const int threads = Threads();
  SetThreads(3);
  for (const bool share : {false, true}) {
    for (const size_t tasks : {0, 1, 2, 100}) {
      std::vector<std::atomic<int>> calls(tasks);
      ParallelTasks(tasks, share, [&](size_t task) { ++calls[task]; });
      for (const auto& count : calls) EXPECT_EQ(count, 1);
    }
    EXPECT_THROW(ParallelTasks(100, share,
                               [](size_t task) {
                                 if (task == 50) throw 1;
                               }),
                 int);
  }
  SetThreads(threads);
}

// Half of all memory that can be addressed: no system has it.
TEST(ThreadWorkspace, ThrowsWhereThereIsNoMemoryAndGoesOn) {
  EXPECT_THROW(ThreadWorkspace(SIZE_MAX / 2), std::bad_alloc);
  EXPECT_NE(ThreadWorkspace(64), nullptr);
}

// In a child, since only a process of its own can be kept from starting threads.
TEST(ParallelWorkersDeathTest, WorkInTurnWhereTheSystemRefusesThreads) {
#ifdef GOLF_SANITIZE
  GTEST_SKIP() << "a sanitizer needs memory of its own";
#endif
  const auto work = [] {
    alarm(20);
    rlimit memory{};
    getrlimit(RLIMIT_AS, &memory);
    memory.rlim_cur = 1;  // no stack for another thread
    setrlimit(RLIMIT_AS, &memory);
    std::array<int, 8> calls{};
    ParallelWorkers(calls.size(), [&](size_t worker) { ++calls[worker]; });
    _exit(std::accumulate(calls.begin(), calls.end(), 0) == 8 ? 0 : 1);
  };
  EXPECT_EXIT(work(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace golf::cpu
