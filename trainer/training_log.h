// What a run leaves to read: log.jsonl (one JSON object per line, appended) and TensorBoard events.
//
// Lines have "event" and "time" (seconds since 1970), then
//   start       recipe, parameters, step, tokens_per_step, processes
//   step        step (updates made), loss_nats (before the update), grad_norm, lr_factor, muon_momentum, late_qat,
//               tokens_per_second, elapsed_s (training time)
//   skipped     step, reason
//   validation  step, weights ("raw", "ema" or "swa"), loss_nats, bits_per_byte (with a tokenizer), targets
//   checkpoint  step, path
//   calibration step, tokens, path (of the Hessians), train_seconds, calibration_seconds
//   note        text
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "artifact/file.h"
#include "kernels/base/status.h"
#include "trainer/event_writer.h"
#include "trainer/trainer.h"
#include "trainer/validate.h"

namespace golf {

class TrainingLog {
 public:
  // Appends to <folder>/log.jsonl, without a line that was cut short there, and starts a new event
  // file. Events that the run from `step` on makes again are cut off the earlier event files.
  static Result<TrainingLog> Open(const std::string& folder, uint64_t step);

  Status Start(const std::string& recipe, size_t parameters, uint64_t step,
               uint64_t tokens_per_step, size_t processes);
  Status Step(const StepReport& report, double tokens_per_second, double elapsed_ms);
  Status Skipped(uint64_t step, const std::string& reason);
  Status Validation(uint64_t step, const char* weights, const ValidationResult& result);
  Status Checkpoint(uint64_t step, const std::string& path);
  Status Calibration(uint64_t step, uint64_t tokens, const std::string& path, double train_seconds,
                     double calibration_seconds);
  Status Note(const std::string& text);

 private:
  TrainingLog(GrowingFile file, EventWriter events)
      : file_(std::move(file)), events_(std::move(events)) {}
  Status Line(const char* event, const nlohmann::ordered_json& fields);

  GrowingFile file_;
  EventWriter events_;
};

}  // namespace golf
