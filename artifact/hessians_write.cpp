#include <cmath>

#include "artifact/checkpoint.h"
#include "artifact/hessians.h"
#include "artifact/hessians_layout.h"

namespace golf {
namespace {

std::vector<float> UpperTriangle(const std::vector<float>& matrix) {
  const auto n = static_cast<size_t>(std::lround(std::sqrt(static_cast<double>(matrix.size()))));
  std::vector<float> triangle;
  triangle.reserve(n * (n + 1) / 2);
  for (size_t i = 0; i < n; ++i) {
    const float* row = &matrix[i * n];
    triangle.insert(triangle.end(), row + i, row + n);
  }
  return triangle;
}

}  // namespace

Status WriteHessians(const std::string& path, const HessianSet& hessians) {
  std::map<const void*, size_t> index;
  std::vector<std::vector<float>> triangles;
  std::vector<uint32_t> sizes;
  std::vector<std::string_view> names;
  CheckpointContents contents;
  for (const auto& [weight, matrix] : hessians.by_weight) {
    const auto [at, is_new] = index.try_emplace(matrix.get(), triangles.size());
    if (is_new) {
      triangles.push_back(UpperTriangle(*matrix));
      sizes.push_back(static_cast<uint32_t>(triangles.back().size()));
      names.push_back(weight);
    }
    contents.integers[std::string(kHessianOf) + weight] = at->second;
  }
  TensorGroup group{std::string(kHessianGroup), {}};
  for (size_t i = 0; i < triangles.size(); ++i)
    group.tensors.push_back({names[i], {&sizes[i], 1}, triangles[i]});
  contents.groups = {std::move(group)};
  contents.integers[std::string(kHessianTokens)] = hessians.tokens;
  if (hessians.seconds > 0) contents.reals[std::string(kHessianSeconds)] = hessians.seconds;
  contents.recipe = hessians.source;
  contents.training_shards = hessians.shards;
  contents.program = hessians.program;
  return WriteCheckpoint(path, contents);
}

}  // namespace golf
