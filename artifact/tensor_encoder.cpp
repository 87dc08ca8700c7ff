#include "artifact/tensor_encoder.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "artifact/prune.h"
#include "kernels/base/check.h"
#include "kernels/threads.h"

namespace golf {

TensorEncoder::TensorEncoder(const Packing& packing, std::span<const TensorView> tensors,
                             const EncodeOptions& options)
    : prune_(options.prune), makes_up_for_pruning_(options.gptq.mode != GptqMode::kReference) {
  for (const TensorView& tensor : tensors) {
    const PackingRule& rule = RuleOf(packing, tensor);
    Job job;
    job.tensor = tensor;
    if (const auto* storage = std::get_if<Storage>(&rule.encoding)) job.storage = *storage;
    if (const auto* codes = std::get_if<QuantiserSettings>(&rule.encoding)) job.codes = *codes;
    const bool feedback = rule.reference_gptq || options.gptq.mode != GptqMode::kReference;
    if (options.hessians != nullptr && feedback && tensor.shape.size() == 2) {
      const std::span<const float> h = options.hessians->Find(tensor.name);
      if (h.size() == size_t{tensor.shape[1]} * tensor.shape[1]) {
        const auto same = std::find_if(hessians_.begin(), hessians_.end(),
                                       [&](const auto& known) { return known.data() == h.data(); });
        job.feedback = static_cast<size_t>(same - hessians_.begin());
        if (same == hessians_.end()) hessians_.push_back(h);
      }
    }
    jobs_.push_back(std::move(job));
  }

  // A factor is computed by one thread. The widest first: they take longest.
  std::vector<size_t> order(hessians_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return hessians_[a].size() > hessians_[b].size(); });
  feedback_.resize(hessians_.size());
  ParallelTasks(order.size(), true, [&](size_t i) {
    feedback_[order[i]] = MakeColumnFeedback(hessians_[order[i]], options.gptq);
  });
  for (Job& job : jobs_) {
    if (job.codes || job.tensor.shape.size() == 2)
      job.energy = OutputEnergy(job.tensor, HessianOf(job));
  }
}

std::span<const float> TensorEncoder::HessianOf(const Job& job) const {
  return job.feedback == kNone ? std::span<const float>() : hessians_[job.feedback];
}

Result<EncodedTensor> TensorEncoder::Encode(size_t i) const {
  const Job& job = jobs_[i];
  if (!job.codes) return StoreAsFloat(job.tensor, job.storage);
  return EncodeAs(i, *job.codes, prune_);
}

Result<EncodedTensor> TensorEncoder::EncodeAs(size_t i, const QuantiserSettings& settings,
                                              double prune, bool nearest) const {
  const Job& job = jobs_[i];
  GOLF_CHECK(job.codes.has_value() || is_matrix(i));
  const std::vector<float> w = Pruned(job.tensor.data, is_matrix(i) ? prune : 0);
  const TensorView pruned{job.tensor.name, job.tensor.shape, w};
  if (nearest || job.feedback == kNone) return Quantise(pruned, settings);
  return QuantiseWithFeedback(pruned, settings, feedback_[job.feedback],
                              makes_up_for_pruning_ ? job.tensor.data : std::span<const float>());
}

double TensorEncoder::ErrorShare(size_t i, const EncodedTensor& encoded) const {
  const Job& job = jobs_[i];
  if (job.energy == 0) return 0;
  const double share = OutputError(job.tensor, encoded, HessianOf(job)) / job.energy;
  return std::isfinite(share) ? share : 1;  // outputs beyond the range of float
}

}  // namespace golf
