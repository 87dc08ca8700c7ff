#include "runtime/packing_facts.h"

#include <fmt/format.h>

#include "runtime/audit_fields.h"

namespace golf {

Result<PackingFacts> ReadPackingFacts(const std::string& path) {
  using namespace audit;
  GOLF_ASSIGN(const Json report, ReadJson<Json>(path));
  const auto bad = [&](std::string_view field) {
    return Status(Code::kBadData,
                  fmt::format("{} is not what golf-pack --json prints: {}", path, field));
  };
  if (!report.is_object()) return bad("it is no JSON object");
  PackingFacts facts;
  facts.path = path;
  facts.artifact_sha256 = Text(report, "artifact_sha256");
  facts.input_sha256 = Text(report, "input_sha256");
  if (!IsDigest(facts.artifact_sha256)) return bad("artifact_sha256 is no SHA-256");
  if (!IsDigest(facts.input_sha256)) return bad("input_sha256 is no SHA-256");
  if (!IsNull(report, "train_seconds")) facts.steps_seconds = Number(report, "train_seconds");
  facts.calibration_seconds = Number(report, "calibration_seconds");
  facts.packing_seconds = Number(report, "seconds");
  if (!IsAmount(facts.steps_seconds.value_or(0)))
    return bad("train_seconds is neither null nor a number of 0 or more");
  if (!IsAmount(facts.calibration_seconds))
    return bad("calibration_seconds is not a number of 0 or more");
  if (!IsAmount(facts.packing_seconds)) return bad("seconds is not a number of 0 or more");
  return facts;
}

}  // namespace golf
