// The processes of a group as threads of this one.
#pragma once
#include <barrier>
#include <thread>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/threads.h"
#include "runtime/process_group.h"

namespace golf::test {

// Runs body(group) once for each rank, all at a time, until the last has returned.
template <class Body>
void InThreads(size_t size, Body body) {
  struct Shared {
    explicit Shared(size_t n) : turn(static_cast<ptrdiff_t>(n)), bytes(n), values(n) {}
    std::barrier<> turn;
    std::vector<std::vector<std::byte>> bytes;
    std::vector<std::vector<float>> values;
  };
  class ThreadGroup final : public ProcessGroup {
   public:
    ThreadGroup(size_t rank, Shared& shared) : rank_(rank), shared_(shared) {}
    size_t rank() const override { return rank_; }
    size_t size() const override { return shared_.bytes.size(); }
    void Sum(std::span<float> values) override {
      shared_.values[rank_].assign(values.begin(), values.end());
      shared_.turn.arrive_and_wait();
      for (size_t r = 0; r < size(); ++r) {
        GOLF_CHECK(shared_.values[r].size() == values.size());
        for (size_t i = 0; i < values.size(); ++i) {
          values[i] = r == 0 ? shared_.values[r][i] : values[i] + shared_.values[r][i];
        }
      }
      shared_.turn.arrive_and_wait();
    }

   private:
    std::vector<Bytes> Exchange(std::span<const std::byte> mine) override {
      shared_.bytes[rank_].assign(mine.begin(), mine.end());
      shared_.turn.arrive_and_wait();
      std::vector<Bytes> all = shared_.bytes;
      shared_.turn.arrive_and_wait();
      return all;
    }
    const size_t rank_;
    Shared& shared_;
  };

  Shared shared(size);
  std::vector<std::jthread> threads;
  for (size_t rank = 0; rank < size; ++rank) {
    threads.emplace_back([&shared, &body, rank] {
      SetThreads(1);  // of this one, so that they do not wait for each other's
      ThreadGroup group(rank, shared);
      body(static_cast<ProcessGroup&>(group));
    });
  }
}

}  // namespace golf::test
