// golf_mpi.so: the processes that mpirun or srun started, joined by MPI. An error of MPI ends all of them (its default).
#include <mpi.h>

#include <algorithm>
#include <climits>

#include "runtime/launch.h"
#include "runtime/process_group.h"

namespace golf {
namespace {

class MpiGroup final : public ProcessGroup {
 public:
  MpiGroup() {
    int threads = 0;  // OpenMP's threads never call MPI
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    const size_t block = kSliceFloats * size();
    block_.resize(block);
    slices_.resize(block);
  }
  ~MpiGroup() override { MPI_Finalize(); }

  size_t rank() const override { return static_cast<size_t>(rank_); }
  size_t size() const override { return static_cast<size_t>(size_); }

  // Block by block: each process gets one slice of it from all, adds them in the order of ranks, and sends the sum to all.
  // MPI_Allreduce would add in an order of its own.
  void Sum(std::span<float> values) noexcept override {
    while (!values.empty()) {
      const size_t n = std::min(values.size(), block_.size());
      const size_t slice = (n + size() - 1) / size();
      std::copy_n(values.begin(), n, block_.begin());
      std::fill(block_.begin() + n, block_.begin() + slice * size(), 0.0F);
      const int count = static_cast<int>(slice);
      MPI_Alltoall(block_.data(), count, MPI_FLOAT, slices_.data(), count, MPI_FLOAT,
                   MPI_COMM_WORLD);
      float* sum = slices_.data();
      for (size_t r = 1; r < size(); ++r) {
        const float* theirs = slices_.data() + r * slice;
        for (size_t i = 0; i < slice; ++i) sum[i] += theirs[i];
      }
      MPI_Allgather(sum, count, MPI_FLOAT, block_.data(), count, MPI_FLOAT, MPI_COMM_WORLD);
      std::copy_n(block_.begin(), n, values.begin());
      values = values.subspan(n);
    }
  }

 private:
  // Slices of a megabyte: long enough for the network's full speed.
  static constexpr size_t kSliceFloats = 1 << 18;

  // In rounds, for MPI counts with an int.
  std::vector<Bytes> Exchange(std::span<const std::byte> mine) noexcept override {
    const uint64_t length = mine.size();
    std::vector<uint64_t> lengths(size());
    MPI_Allgather(&length, 1, MPI_UINT64_T, lengths.data(), 1, MPI_UINT64_T, MPI_COMM_WORLD);
    std::vector<Bytes> all(size());
    const uint64_t longest = *std::ranges::max_element(lengths), most = INT_MAX / size();
    std::vector<int> counts(size()), starts(size());
    for (uint64_t done = 0; done < longest; done += most) {
      int total = 0;
      for (size_t r = 0; r < size(); ++r) {
        counts[r] = static_cast<int>(std::min(lengths[r] - std::min(lengths[r], done), most));
        starts[r] = total;
        total += counts[r];
      }
      Bytes received(static_cast<size_t>(total));
      MPI_Allgatherv(mine.data() + std::min(length, done), counts[rank()], MPI_BYTE,
                     received.data(), counts.data(), starts.data(), MPI_BYTE, MPI_COMM_WORLD);
      for (size_t r = 0; r < size(); ++r) {
        const auto begin = received.begin() + starts[r];
        all[r].insert(all[r].end(), begin, begin + counts[r]);
      }
    }
    return all;
  }

  int rank_ = 0, size_ = 1;
  std::vector<float> block_, slices_;
};

}  // namespace
}  // namespace golf

extern "C" __attribute__((visibility("default"))) golf::ProcessGroup* GOLF_OPEN_PROCESS_GROUP() {
  return new golf::MpiGroup;
}
