// What golf-pack prints beside sizes: what GPTQ gained, the way that led under a budget.
#pragma once
#include <nlohmann/json.hpp>
#include <span>

#include "artifact/fit.h"
#include "artifact/packing.h"

namespace golf {

// Output errors by group of tensors, and of all.
void PrintGains(std::span<const GptqGain> gains);
nlohmann::ordered_json ToJson(std::span<const GptqGain> gains);

void PrintPath(const FitResult& fit);
nlohmann::ordered_json ToJson(const FitResult& fit);

}  // namespace golf
