#include "trainer/saved_state.h"

#include <fmt/format.h>

#include <iterator>

namespace golf {
namespace {

std::string SlotGroup(size_t slot) { return fmt::format("optimizer/{}", Optimizer::kSlots[slot]); }

std::vector<TensorView> Copy(std::span<const TensorView> views) {
  return {views.begin(), views.end()};
}

}  // namespace

void WriteSavedState(const SavedState& state, CheckpointContents& contents) {
  const Trainer::State& t = state.trainer;
  contents.groups.push_back({"weights", t.weights});
  if (!t.ema.empty()) contents.groups.push_back({"ema", t.ema});
  if (!t.swa.empty()) {
    contents.groups.push_back({"swa", t.swa});
    contents.integers["swa_snapshots"] = t.swa_snapshots;
  }
  for (size_t slot = 0; slot < std::size(t.optimizer); ++slot) {
    contents.groups.push_back({SlotGroup(slot), t.optimizer[slot]});
  }
  if (!t.stale_gradients.empty()) contents.groups.push_back({"stale_gradients", t.stale_gradients});
  if (state.hessians.tokens > 0) {
    contents.groups.push_back({"hessian_sums", state.hessians.sums});
    contents.integers["hessian_tokens"] = state.hessians.tokens;
  }
  contents.integers["step"] = t.step;
  contents.integers["optimizer_steps"] = t.optimizer_steps;
  contents.integers["late_qat"] = t.late_qat ? 1 : 0;
  contents.integers["seed"] = state.seed;
  contents.integers["cursor"] = state.cursor;
  contents.integers["stream_tokens"] = state.stream_tokens;
  contents.reals["elapsed_ms"] = state.elapsed_ms;
}

Result<SavedState> ReadSavedState(const Checkpoint& checkpoint) {
  const CheckpointContents& contents = checkpoint.contents();
  std::string missing;
  const auto integer = [&](const char* name) -> uint64_t {
    const auto found = contents.integers.find(name);
    if (found == contents.integers.end()) missing = name;
    return found == contents.integers.end() ? 0 : found->second;
  };
  SavedState state;
  Trainer::State& t = state.trainer;
  t.weights = Copy(contents.group("weights"));
  t.ema = Copy(contents.group("ema"));
  t.swa = Copy(contents.group("swa"));
  if (!t.swa.empty()) t.swa_snapshots = integer("swa_snapshots");
  for (size_t slot = 0; slot < std::size(t.optimizer); ++slot) {
    t.optimizer[slot] = Copy(contents.group(SlotGroup(slot)));
  }
  t.stale_gradients = Copy(contents.group("stale_gradients"));
  state.hessians.sums = Copy(contents.group("hessian_sums"));
  if (!state.hessians.sums.empty()) state.hessians.tokens = integer("hessian_tokens");
  t.step = integer("step");
  t.optimizer_steps = integer("optimizer_steps");
  t.late_qat = integer("late_qat") != 0;
  state.seed = integer("seed");
  state.cursor = integer("cursor");
  state.stream_tokens = integer("stream_tokens");
  const auto elapsed = contents.reals.find("elapsed_ms");
  if (elapsed == contents.reals.end()) {
    missing = "elapsed_ms";
  } else {
    state.elapsed_ms = elapsed->second;
  }
  if (!missing.empty()) {
    return Status(Code::kBadData,
                  fmt::format("{}: '{}' is missing; this is no checkpoint of a training run",
                              checkpoint.path(), missing));
  }
  return state;
}

}  // namespace golf
