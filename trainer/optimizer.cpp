#include "trainer/optimizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/bf16.h"
#include "kernels/base/check.h"
#include "kernels/table.h"
#include "runtime/trainable.h"
#include "trainer/weight_names.h"

namespace golf {
namespace {

enum Slots : size_t { kMomentum, kVariance };

}  // namespace

Result<std::vector<WeightUpdate>> AssignUpdates(const TensorSet& layout,
                                                const TrainSettings& settings) {
  std::vector<WeightUpdate> updates(layout.count());
  for (size_t i = 0; i < layout.count(); ++i) {
    const std::string& name = layout.name(i);
    const auto group = std::ranges::find_if(
        settings.groups, [&](const OptimizerGroup& g) { return MatchesAny(g.weights, name); });
    WeightUpdate& update = updates[i];
    update.stale_gradient = MatchesAny(settings.reference.stale_gradients, name);
    if (update.stale_gradient) continue;
    if (group == settings.groups.end()) {
      return Status(Code::kUsage,
                    fmt::format("weight '{}' belongs to no optimizer group; add a pattern for it "
                                "(a group with rule = \"none\" freezes)",
                                name));
    }
    if (group->rule == UpdateRule::kMuon && layout.shape(i).size() != 2) {
      return Status(Code::kUsage, fmt::format("group.{}: weight '{}' is no matrix, so Muon cannot "
                                              "update it; use rule = \"adamw\"",
                                              group->name, name));
    }
    update.group = group->name;
    update.rule = group->rule;
    const bool decoder = BlockOf(name) >= int64_t{settings.first_decoder_block};
    update.lr = group->lr * (decoder ? group->decoder_lr_mult : 1);
    update.weight_decay = group->weight_decay;
    update.bf16 = group->bf16;
  }
  return updates;
}

Optimizer::Optimizer(const KernelTable& kernels, const TensorSet& layout,
                     const TrainSettings& settings, std::vector<WeightUpdate> updates,
                     Element newton_schulz)
    : kernels_(kernels),
      adamw_(settings.adamw),
      newton_schulz_steps_(static_cast<int>(settings.muon.backend_steps)),
      updates_(std::move(updates)),
      layout_(&layout) {
  for (auto& slot : slots_) slot.resize(layout.count());
  for (size_t i = 0; i < layout.count(); ++i) {
    const size_t n = layout[i].size();
    if (updates_[i].rule == UpdateRule::kNone) continue;
    slots_[kMomentum][i].resize(n);
    if (updates_[i].rule == UpdateRule::kAdamW) {
      slots_[kVariance][i].resize(n);
      continue;
    }
    const std::pair<size_t, size_t> shape = {layout.shape(i)[0], layout.shape(i)[1]};
    std::unique_ptr<Muon>& muon = muon_[shape];
    if (!muon) muon = std::make_unique<Muon>(kernels, shape.first, shape.second, newton_schulz);
  }
}

void Optimizer::Step(double lr_factor, double momentum, const TensorSet& gradients,
                     TensorSet& weights) {
  ++steps_;
  for (size_t i = 0; i < updates_.size(); ++i) {
    const WeightUpdate& update = updates_[i];
    const std::span<const float> g = gradients[i];
    const double lr = update.lr * lr_factor, weight_decay = update.weight_decay;
    switch (update.rule) {
      case UpdateRule::kNone:
        break;
      case UpdateRule::kAdamW: {
        const AdamWStep step = {lr,         adamw_.beta1, adamw_.beta2,
                                adamw_.eps, weight_decay, static_cast<long>(steps_)};
        kernels_.optimizer.adamw(step, g.size(), g.data(), weights[i].data(),
                                 slots_[kMomentum][i].data(), slots_[kVariance][i].data());
        if (update.bf16) {
          for (const std::span<float> kept :
               {weights[i], std::span(slots_[kMomentum][i]), std::span(slots_[kVariance][i])}) {
            RoundToBf16(kept);
          }
        }
        break;
      }
      case UpdateRule::kMuon: {
        const MuonStep step = {lr, momentum, weight_decay, newton_schulz_steps_};
        const std::span<const uint32_t> shape = weights.shape(i);
        muon_.at({shape[0], shape[1]})
            ->Step(step, g.data(), weights[i].data(), slots_[kMomentum][i].data());
        break;
      }
    }
  }
}

std::vector<TensorView> Optimizer::Slot(size_t slot) const {
  std::vector<TensorView> views;
  for (size_t i = 0; i < updates_.size(); ++i) {
    if (slots_[slot][i].empty()) continue;
    views.push_back({layout_->name(i), layout_->shape(i), slots_[slot][i]});
  }
  return views;
}

Status Optimizer::LoadSlot(size_t slot, std::span<const TensorView> tensors) {
  const auto bad = [slot](std::string_view name, const char* what) {
    return Status(Code::kBadData,
                  fmt::format("optimizer/{}: tensor '{}' {}", kSlots[slot], name, what));
  };
  std::vector<bool> seen(updates_.size());
  for (const TensorView& tensor : tensors) {
    const size_t i = layout_->Find(tensor.name);
    if (i == layout_->count() || slots_[slot][i].size() != tensor.data.size() ||
        tensor.data.empty()) {
      return bad(tensor.name, "does not belong to this recipe's optimizer groups");
    }
    std::ranges::copy(tensor.data, slots_[slot][i].begin());
    seen[i] = true;
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    if (!seen[i] && !slots_[slot][i].empty()) return bad(layout_->name(i), "is missing");
  }
  return {};
}

size_t Optimizer::state_bytes() const {
  size_t floats = 0;
  for (const auto& slot : slots_) {
    for (const std::vector<float>& tensor : slot) floats += tensor.size();
  }
  return floats * sizeof(float);
}

size_t Optimizer::scratch_bytes() const {
  size_t bytes = 0;
  for (const auto& [shape, muon] : muon_) bytes += muon->scratch_bytes();
  return bytes;
}

}  // namespace golf
