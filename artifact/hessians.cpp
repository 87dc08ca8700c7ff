#include "artifact/hessians.h"

#include <cmath>

#include "artifact/checkpoint.h"
#include "artifact/hessians_layout.h"

namespace golf {
namespace {

// The side of the square whose upper triangle has so many elements; 0 if there is none.
size_t SideOf(size_t elements) {
  const auto n = static_cast<size_t>((std::sqrt(8.0 * static_cast<double>(elements) + 1) - 1) / 2);
  for (const size_t side : {n, n + 1}) {
    if (side * (side + 1) / 2 == elements) return side;
  }
  return 0;
}

Result<HessianSet::Matrix> Unfold(const TensorView& triangle) {
  const auto bad = [&](const std::string& why) {
    return Status{Code::kBadData, "Hessian '" + std::string(triangle.name) + "': " + why};
  };
  const size_t n = SideOf(triangle.data.size());
  if (triangle.shape.size() != 1 || n == 0) return bad("not the triangle of a square matrix");
  auto matrix = std::make_shared<std::vector<float>>(n * n);
  const float* from = triangle.data.data();
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j, ++from) {
      if (!std::isfinite(*from) || (i == j && *from < 0))
        return bad("a value that no mean of squares has");
      (*matrix)[i * n + j] = (*matrix)[j * n + i] = *from;
    }
  }
  return HessianSet::Matrix(std::move(matrix));
}

}  // namespace

Result<HessianSet> HessiansOf(const CheckpointContents& contents) {
  const auto bad = [](const std::string& why) { return Status{Code::kBadData, why}; };
  const std::span<const TensorView> triangles = contents.group(kHessianGroup);
  if (triangles.empty()) return bad("no Hessians in it; golf-pack --save-hessians writes them");
  std::vector<HessianSet::Matrix> matrices;
  for (const TensorView& triangle : triangles) {
    GOLF_ASSIGN(HessianSet::Matrix matrix, Unfold(triangle));
    matrices.push_back(std::move(matrix));
  }
  HessianSet set;
  set.source = contents.recipe;
  set.shards = contents.training_shards;
  const auto seconds = contents.reals.find(std::string(kHessianSeconds));
  if (seconds != contents.reals.end()) set.seconds = seconds->second;
  if (!(std::isfinite(set.seconds) && set.seconds >= 0))
    return bad("a calibration took no such time");
  set.program.assign(contents.program.begin(), contents.program.end());
  for (const auto& [key, value] : contents.integers) {
    if (key == kHessianTokens) set.tokens = value;
    if (!key.starts_with(kHessianOf)) continue;
    if (value >= matrices.size()) return bad("'" + key + "' names none of its Hessians");
    set.by_weight.emplace(key.substr(kHessianOf.size()), matrices[value]);
  }
  return set;
}

Result<HessianSet> ReadHessians(const std::string& path) {
  GOLF_ASSIGN(const Checkpoint file, Checkpoint::Open(path));
  Result<HessianSet> set = HessiansOf(file.contents());
  if (!set.ok()) return Status{set.status().code(), path + ": " + set.status().message()};
  return set;
}

}  // namespace golf
