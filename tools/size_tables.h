// Bytes per tensor and per group, as tables and as JSON: what golf-pack and golf-inspect print.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "artifact/budget.h"
#include "artifact/size_report.h"

namespace golf {

// A tensor as a line of the tree.
struct TreeLeaf {
  std::string name;    // dots separate the levels
  std::string detail;  // shape and encoding
  uint64_t elements, bytes;
};

// Every level with the sum of what is below it, in order of first appearance.
void PrintTree(const std::vector<TreeLeaf>& leaves);

std::vector<TreeLeaf> LeavesOf(const SizeReport& report);

// One line per group, then description, envelope and the whole file.
void PrintGroups(const SizeReport& report);

// artifact + code = total, against the budget if there is one (max_bytes > 0).
void PrintBudget(const Budget& budget);

nlohmann::ordered_json ToJson(const SizeReport& report);
// Adds code files, total, and with a budget max_bytes and fits.
void AddBudget(const Budget& budget, nlohmann::ordered_json& json);

// "512 x 1536"; "scalar".
std::string ShapeText(std::span<const uint32_t> shape);

}  // namespace golf
