#include "runtime/plan_cache.h"

#include <utility>

namespace golf {

ExecutorFactory ExecutorsOf(const KernelTable& kernels, const schema::ProgramT& program,
                            const TensorSet& weights) {
  return [&](const ExecutorOptions& options) {
    return Executor::Create(kernels, program, weights, options);
  };
}

PlanCache::PlanCache(ExecutorFactory factory, ExecutorOptions base,
                     std::optional<FakeQuant> fake_quant)
    : factory_(std::move(factory)), base_(std::move(base)), fake_quant_(fake_quant) {}

Result<Executor*> PlanCache::Get(size_t batch, size_t scored_rows) {
  for (Plan& plan : plans_) {
    if (plan.batch != batch || plan.scored_rows != scored_rows) continue;
    if (plan.stale) plan.executor->WeightsChanged(fake_quant_);
    plan.stale = false;
    return plan.executor.get();
  }
  if (batch != base_.batch) {  // free the arena of another left-over plan before taking one more
    std::erase_if(plans_, [&](const Plan& plan) { return plan.batch != base_.batch; });
  }
  ExecutorOptions options = base_;
  options.batch = batch;
  options.scored_rows = scored_rows;
  GOLF_ASSIGN(std::unique_ptr<Executor> executor, factory_(options));
  executor->WeightsChanged(fake_quant_);
  plans_.push_back({batch, scored_rows, std::move(executor), false});
  return plans_.back().executor.get();
}

void PlanCache::WeightsChanged() {
  for (Plan& plan : plans_) plan.stale = true;
}

}  // namespace golf
