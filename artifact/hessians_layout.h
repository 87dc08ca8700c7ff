// The names in a file of Hessians, shared by reader and writer.
#pragma once
#include <string_view>

namespace golf {

constexpr std::string_view kHessianGroup = "hessians";
constexpr std::string_view kHessianTokens = "calibration tokens";
constexpr std::string_view kHessianSeconds = "calibration seconds";
constexpr std::string_view kHessianOf = "hessian of ";  // + weight: index in the group

}  // namespace golf
