// Every operation of the MPI module, in each of the processes that mpirun starts: exit code 0 if all of it is right.
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/numbers.h"
#include "runtime/launch.h"
#include "runtime/process_group.h"

extern "C" golf::ProcessGroup* GOLF_OPEN_PROCESS_GROUP();

namespace golf {
namespace {

// Values whose sum depends on the order of the additions.
float Value(size_t rank, size_t i) {
  return static_cast<float>((i * 7919 + rank * 104729) % 10007) * (rank % 2 == 0 ? 1e-3F : 1e4F);
}

bool SumIsInTheOrderOfRanks(ProcessGroup& group, size_t n) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = Value(group.rank(), i);
  group.Sum(values);
  for (size_t i = 0; i < n; ++i) {
    float sum = Value(0, i);
    for (size_t r = 1; r < group.size(); ++r) sum += Value(r, i);
    if (values[i] != sum) return false;
  }
  return true;
}

bool GatherKeepsLengths(ProcessGroup& group, size_t n) {
  const std::vector<uint32_t> mine(n * group.rank(), static_cast<uint32_t>(group.rank()));
  const auto all = group.Gather(std::span(mine));
  if (!all.ok() || all->size() != group.size()) return false;
  for (size_t r = 0; r < group.size(); ++r) {
    if ((*all)[r] != std::vector<uint32_t>(n * r, static_cast<uint32_t>(r))) return false;
  }
  return true;
}

int Main(size_t processes) {
  const std::unique_ptr<ProcessGroup> group(GOLF_OPEN_PROCESS_GROUP());
  bool right = group->size() == processes;
  // Less than a float for each process, a slice and its neighbours, several blocks.
  for (const size_t n : {0, 1, 5, 262143, 262144, 262145, 524288, 786439, 3'000'001}) {
    right = right && SumIsInTheOrderOfRanks(*group, n);
  }
  for (const size_t n : {0, 1, 1000, 1'000'000}) right = right && GatherKeepsLengths(*group, n);
  return *group->ForAll(right) ? 0 : 1;
}

}  // namespace
}  // namespace golf

int main(int argc, char** argv) {
  return golf::Main(argc > 1 ? golf::ParseCount(argv[1]).value_or(0) : 0);
}
