// Executors by size: a pass over windows needs one plan for full batches and now and then one for what is left over.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/executor.h"

namespace golf {

struct KernelTable;
namespace schema {
struct ProgramT;
}

// Makes an executor of one network and one set of weights; tests put their own in.
using ExecutorFactory = std::function<Result<std::unique_ptr<Executor>>(const ExecutorOptions&)>;

// The ordinary factory. Keeps references to all three.
ExecutorFactory ExecutorsOf(const KernelTable& kernels, const schema::ProgramT& program,
                            const TensorSet& weights);

class PlanCache {
 public:
  // base.batch is the largest batch. fake_quant is passed on whenever an executor takes over changed weights.
  PlanCache(ExecutorFactory factory, ExecutorOptions base,
            std::optional<FakeQuant> fake_quant = std::nullopt);

  // An executor for `batch` windows with `scored_rows` rows each, ready to run on the current weights. Valid until the
  // next call: plans for full batches are kept, of those for smaller ones only the latest.
  Result<Executor*> Get(size_t batch, size_t scored_rows);
  // The weights behind the executors changed; each takes them over before its next pass.
  void WeightsChanged();

 private:
  struct Plan {
    size_t batch, scored_rows;
    std::unique_ptr<Executor> executor;
    bool stale;
  };
  ExecutorFactory factory_;
  ExecutorOptions base_;
  std::optional<FakeQuant> fake_quant_;
  std::vector<Plan> plans_;
};

}  // namespace golf
