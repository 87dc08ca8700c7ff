// A training run's state as a checkpoint holds it.
#pragma once
#include <cstdint>
#include <string>

#include "artifact/checkpoint.h"
#include "kernels/base/status.h"
#include "runtime/calibrate.h"
#include "trainer/trainer.h"

namespace golf {

struct SavedState {
  Trainer::State trainer;
  uint64_t seed = 0;
  uint64_t cursor = 0;               // stream position of the next span
  uint64_t stream_tokens = 0;        // length of the stream, to recognise other data
  double elapsed_ms = 0;             // training time, for wall-clock schedules
  HessianCollector::State hessians;  // where they are collected while training
};

// Adds the state to `contents` (groups, integers, reals); borrows its tensors.
void WriteSavedState(const SavedState& state, CheckpointContents& contents);

// The views borrow from the checkpoint. kBadData names what is missing.
Result<SavedState> ReadSavedState(const Checkpoint& checkpoint);

}  // namespace golf
