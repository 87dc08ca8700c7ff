// Wall clock and CPU clock side by side. On a machine with other work the CPU clock is the one that means something: it
// stands still while a thread waits for its turn.
#pragma once
#include <algorithm>
#include <chrono>
#include <ctime>

namespace golf::bench {

struct Seconds {
  double wall = 1e30, cpu = 1e30;

  void KeepShortest(Seconds other) {
    wall = std::min(wall, other.wall);
    cpu = std::min(cpu, other.cpu);
  }
};

class Stopwatch {
 public:
  Seconds elapsed() const {
    return {std::chrono::duration<double>(Clock::now() - wall_).count(), ProcessSeconds() - cpu_};
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double ProcessSeconds() {  // of all threads
    std::timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  }
  Clock::time_point wall_ = Clock::now();
  double cpu_ = ProcessSeconds();
};

}  // namespace golf::bench
