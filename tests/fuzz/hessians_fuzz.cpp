// What a checkpoint may say about Hessians (the container itself is the target `checkpoint`): triangles and the weights they
// belong to, right but for one thing at most.
#include <cmath>
#include <deque>

#include "artifact/checkpoint.h"
#include "artifact/hessians.h"
#include "artifact/hessians_layout.h"
#include "kernels/base/check.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"

namespace golf::test {
namespace {

struct Triangle {
  std::string name;
  std::vector<uint32_t> shape;
  std::vector<float> data;
};

Triangle MakeTriangle(InputReader& in, size_t number) {
  const uint32_t side = 1 + in.Below(12);
  Triangle t{"weight" + std::to_string(number), {side * (side + 1) / 2}, {}};
  for (uint32_t row = 0; row < side; ++row) {
    for (uint32_t column = row; column < side; ++column) {
      const auto value = static_cast<float>(in.Value<int8_t>());
      t.data.push_back(row == column ? std::fabs(value) : value);
    }
  }
  return t;
}

// One thing that is wrong; false if there is none.
bool Damage(InputReader& in, std::deque<Triangle>& triangles, CheckpointContents& contents) {
  Triangle& t = triangles[in.Below(triangles.size())];
  switch (in.Below(8)) {
    case 1:
      t.data[0] = -1;
      return true;
    case 2:
      t.data[in.Byte() % t.data.size()] = NAN;
      return true;
    case 3:
      t.data[in.Byte() % t.data.size()] = -INFINITY;
      return true;
    case 4:
      t.shape = {1, t.shape[0]};
      return true;
    case 5: {  // a size that is no triangle's
      const size_t elements = 2 + in.Byte();
      t.data.assign(elements, 1);
      t.shape = {static_cast<uint32_t>(elements)};
      return true;
    }
    case 6:
      contents.integers[std::string(kHessianOf) + "x"] =
          triangles.size() + in.Value<uint64_t>() / 2;
      return true;
    case 7:
      contents.groups[0].name = in.Text(in.Below(9));
      return true;
    default:
      return false;
  }
}

void CheckAccepted(const HessianSet& set, size_t triangles) {
  for (const auto& [weight, matrix] : set.by_weight) {
    const auto side = static_cast<size_t>(std::lround(std::sqrt(double(matrix->size()))));
    GOLF_CHECK(side > 0 && side * side == matrix->size());
    for (size_t i = 0; i < side; ++i) {
      GOLF_CHECK((*matrix)[i * side + i] >= 0);
      for (size_t j = 0; j < side; ++j) {
        GOLF_CHECK(std::isfinite((*matrix)[i * side + j]));
        GOLF_CHECK((*matrix)[i * side + j] == (*matrix)[j * side + i]);
      }
    }
  }
  GOLF_CHECK(triangles > 0);
}

}  // namespace

void FuzzHessians(std::span<const uint8_t> input) {
  InputReader in(input);
  std::deque<Triangle> triangles;
  for (uint32_t n = 1 + in.Below(4); n > 0; --n) triangles.push_back(MakeTriangle(in, n));
  CheckpointContents contents;
  contents.groups = {{std::string(kHessianGroup), {}}};
  for (uint32_t n = in.Below(6); n > 0; --n) {
    contents.integers[std::string(kHessianOf) + std::to_string(n)] = in.Below(triangles.size());
  }
  const size_t covered = contents.integers.size();
  const bool damaged = Damage(in, triangles, contents);
  for (const Triangle& t : triangles)
    contents.groups[0].tensors.push_back({t.name, t.shape, t.data});
  const auto set = HessiansOf(contents);
  GOLF_CHECK(set.ok() || damaged);
  if (!set.ok()) return;
  GOLF_CHECK(damaged || set->by_weight.size() == covered);
  CheckAccepted(*set, triangles.size());
}

}  // namespace golf::test
