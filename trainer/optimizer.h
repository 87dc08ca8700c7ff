// Turns gradients into updates, group by group as the settings say, and owns the moments that this needs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/status.h"
#include "kernels/gemm.h"
#include "kernels/muon.h"
#include "runtime/weights.h"
#include "trainer/settings.h"

namespace golf {

struct KernelTable;

// How one weight is updated.
struct WeightUpdate {
  std::string group;  // name, for tables and messages; empty for a stale gradient
  UpdateRule rule = UpdateRule::kNone;
  // ReferenceSettings::stale_gradients: no update, the gradient lives on.
  bool stale_gradient = false;
  double lr = 0;  // decoder multiplier included
  double weight_decay = 0;
  bool bf16 = false;  // OptimizerGroup::bf16
};

// One per weight of the layout. kUsage names a weight that no group claims, or a Muon weight that is no matrix.
Result<std::vector<WeightUpdate>> AssignUpdates(const TensorSet& layout,
                                                const TrainSettings& settings);

class Optimizer {
 public:
  // Moments start at zero. newton_schulz: element type of Muon's products. Keeps a reference to `kernels`.
  Optimizer(const KernelTable& kernels, const TensorSet& layout, const TrainSettings& settings,
            std::vector<WeightUpdate> updates, Element newton_schulz);

  // Updates the weights once. lr_factor is the schedule's; momentum is Muon's.
  void Step(double lr_factor, double momentum, const TensorSet& gradients, TensorSet& weights);

  const std::vector<WeightUpdate>& updates() const { return updates_; }

  // State, for checkpoints. Slot "momentum" is Muon's buffer or AdamW's first moment, "variance" AdamW's second; a weight
  // that has no such moment has no tensor there.
  uint64_t steps() const { return steps_; }
  static constexpr const char* kSlots[] = {"momentum", "variance"};
  std::vector<TensorView> Slot(size_t slot) const;
  // The same tensors must be given that Slot() names; kBadData otherwise.
  Status LoadSlot(size_t slot, std::span<const TensorView> tensors);
  void set_steps(uint64_t steps) { steps_ = steps; }
  size_t state_bytes() const;
  size_t scratch_bytes() const;  // of Muon's products

 private:
  const KernelTable& kernels_;
  AdamWSettings adamw_;
  int newton_schulz_steps_;
  std::vector<WeightUpdate> updates_;
  const TensorSet* layout_;  // names and shapes
  std::vector<std::vector<float>> slots_[2];
  std::map<std::pair<size_t, size_t>, std::unique_ptr<Muon>> muon_;  // by matrix shape
  uint64_t steps_ = 0;                                               // updates made
};

}  // namespace golf
