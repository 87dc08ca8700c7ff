// Collects the Hessians of a network's linear layers (artifact/hessians.h) from text that the network reads.
//
//   Linear weights: the mean of x x^T over every input row x of every step with that weight; steps that read the same
//   value share it. Tables whose rows go through a Linear step first (hashed bigrams, value embeddings): W^T W of that
//   step's weight W, for that is what an error in a row costs behind it. A tied token table has the Hessian of the logits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "artifact/hessians.h"
#include "kernels/base/status.h"
#include "runtime/executor.h"
#include "runtime/weights.h"

namespace golf {

struct CalibrationOptions {
  size_t length = 0;  // tokens per window
  size_t batch = 0;  // windows per pass: memory, speed and rounding; 0: as many as 4096 tokens hold
  Precision precision = Precision::kFp32;
};

// Called after each pass with the tokens read so far; returning false ends the calibration with kInterrupted.
using CalibrationProgress = std::function<bool(uint64_t tokens)>;

// Collects in several goes, between which the weights may change (PR 1251).
class HessianCollector {
 public:
  // Keeps references to the first three.
  static std::unique_ptr<HessianCollector> Create(const KernelTable& kernels,
                                                  const schema::ProgramT& program,
                                                  const TensorSet& weights,
                                                  const CalibrationOptions& options);
  virtual ~HessianCollector() = default;

  // Adds what the network makes of these windows, with the weights as they are now. After an error or an interruption the
  // collector is of no more use.
  virtual Status Add(std::span<const int32_t> ids, const CalibrationProgress& progress) = 0;
  // The means over all windows so far; those of tables, which come from weights, by `weights`. kBadData without a window.
  virtual Result<HessianSet> Finish(const TensorSet& weights) const = 0;

  // For another collector to go on with. Views borrow from this one.
  struct State {
    uint64_t tokens = 0;
    std::vector<TensorView> sums;  // (C, C) each
  };
  virtual State state() const = 0;
  virtual Status Load(const State& state) = 0;  // kBadData if it is another network's

  virtual Result<size_t> PeakBytes() = 0;  // what it holds at most: a pass and the sums
};

// In one go. ids: whole windows of `length` tokens, below the vocabulary's size (kBadData otherwise). `tokens` and
// `seconds` are set in the result, source and program are left to the caller. The result does not depend on the number of threads.
Result<HessianSet> CollectHessians(const KernelTable& kernels, const schema::ProgramT& program,
                                   const TensorSet& weights, std::span<const int32_t> ids,
                                   const CalibrationOptions& options,
                                   const CalibrationProgress& progress = {});

}  // namespace golf
