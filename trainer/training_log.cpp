#include "trainer/training_log.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

#include "artifact/json.h"

namespace golf {

using Json = nlohmann::ordered_json;

Result<TrainingLog> TrainingLog::Open(const std::string& folder, uint64_t step) {
  GOLF_ASSIGN(GrowingFile file, GrowingFile::Open(fmt::format("{}/log.jsonl", folder)));
  GOLF_TRY(file.CutUnfinishedLine());
  GOLF_TRY(CutEvents(folder, step));
  GOLF_ASSIGN(EventWriter events, EventWriter::Create(folder));
  return TrainingLog(std::move(file), std::move(events));
}

Status TrainingLog::Line(const char* event, const Json& fields) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  Json line = {{"event", event}, {"time", now.count()}};
  line.update(fields);
  return file_.Append(AsBytes(DumpJson(line) + '\n'));
}

Status TrainingLog::Start(const std::string& recipe, size_t parameters, uint64_t step,
                          uint64_t tokens_per_step, size_t processes) {
  return Line("start", {{"recipe", recipe},
                        {"parameters", parameters},
                        {"step", step},
                        {"tokens_per_step", tokens_per_step},
                        {"processes", processes},
                        {"version", GOLF_VERSION}});
}

Status TrainingLog::Step(const StepReport& r, double tokens_per_second, double elapsed_ms) {
  GOLF_TRY(Line("step", {{"step", r.step + 1},
                         {"loss_nats", r.loss_nats},
                         {"grad_norm", r.grad_norm},
                         {"lr_factor", r.lr_factor},
                         {"muon_momentum", r.muon_momentum},
                         {"late_qat", r.late_qat},
                         {"tokens_per_second", tokens_per_second},
                         {"elapsed_s", elapsed_ms / 1000}}));
  const std::pair<std::string_view, double> scalars[] = {
      {"train/loss_nats", r.loss_nats},
      {"train/grad_norm", r.grad_norm},
      {"train/lr_factor", r.lr_factor},
      {"train/muon_momentum", r.muon_momentum},
      {"speed/tokens_per_second", tokens_per_second}};
  return events_.AddScalars(r.step + 1, scalars);
}

Status TrainingLog::Skipped(uint64_t step, const std::string& reason) {
  return Line("skipped", {{"step", step + 1}, {"reason", reason}});
}

Status TrainingLog::Validation(uint64_t step, const char* weights, const ValidationResult& result) {
  Json fields = {{"step", step},
                 {"weights", weights},
                 {"loss_nats", result.loss_nats},
                 {"targets", result.targets}};
  const std::string loss_tag = fmt::format("{}{}/loss_nats", kValidationTag, weights);
  const std::string bytes_tag = fmt::format("{}{}/bits_per_byte", kValidationTag, weights);
  std::vector<std::pair<std::string_view, double>> scalars = {{loss_tag, result.loss_nats}};
  if (result.bits_per_byte) {
    fields["bits_per_byte"] = *result.bits_per_byte;
    scalars.emplace_back(bytes_tag, *result.bits_per_byte);
  }
  GOLF_TRY(Line("validation", fields));
  return events_.AddScalars(step, scalars);
}

Status TrainingLog::Checkpoint(uint64_t step, const std::string& path) {
  return Line("checkpoint", {{"step", step}, {"path", path}});
}

Status TrainingLog::Calibration(uint64_t step, uint64_t tokens, const std::string& path,
                                double train_seconds, double calibration_seconds) {
  return Line("calibration", {{"step", step},
                              {"tokens", tokens},
                              {"path", path},
                              {"train_seconds", train_seconds},
                              {"calibration_seconds", calibration_seconds}});
}

Status TrainingLog::Note(const std::string& text) { return Line("note", {{"text", text}}); }

}  // namespace golf
