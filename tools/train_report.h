// What golf-train prints about a run: the plan before it, the results after it.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "kernels/base/status.h"
#include "trainer/evaluate_weights.h"
#include "trainer/training_run.h"

namespace golf {

// Recipe, data, network, optimizer groups, memory; per weight name, shape, parameters, group and learning rate.
Result<nlohmann::ordered_json> DescribePlan(const TrainingRun& run);
std::string PlanText(const nlohmann::ordered_json& plan, const std::string& executor_plan);

// What was seen while training.
struct TrainingSummary {
  uint64_t first_step = 0;  // where this process took over
  struct Step {
    double loss_nats = 0, tokens_per_second = 0;
  };
  std::optional<Step> last;                            // none where no step was made
  std::map<std::string, ValidationResult> validation;  // the latest, by weights
};

nlohmann::ordered_json DescribeResult(const TrainingRun& run, const TrainingSummary& summary);
std::string ResultText(const nlohmann::ordered_json& result);

nlohmann::ordered_json DescribeEvaluation(const EvaluatedWeights& evaluated);
std::string EvaluationText(const EvaluatedWeights& evaluated);

// The most memory this process ever had resident, in bytes.
uint64_t PeakResidentBytes();

}  // namespace golf
