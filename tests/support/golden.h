// Golden cases: values that a reference implementation computed, and how closely ours must meet them.
//
// A case is a folder with a manifest.json and .npy files. The manifest names the `kind` of the case, what it was run
// with (`config`, `run`, `info`), its `tensors` (a slice of an .npy file: file, offset in elements, shape, dtype, role
// input/output, tol) and its `scalars`. Tolerances `tol`:
//   relmax r [, frac_outside f]   |got - want| <= r * max|want|, for all elements but the share f
//   rel r                         |got - want| <= r * |want| (scalars)
//   exact                         got == want
//   int_frac f, int_max m         at most the share f of the integers differ, each by at most m
//
// Broken files and wrong names throw std::runtime_error, which GoogleTest reports as the failure of that case.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "tests/support/npy.h"

namespace golf::test {

// One named tensor of a case: a slice of an array that others may share.
class GoldenTensor {
 public:
  GoldenTensor(std::shared_ptr<const NpyArray> array, size_t offset, std::vector<size_t> shape);
  const std::vector<size_t>& shape() const { return shape_; }
  size_t size() const { return size_; }
  NpyType type() const { return array_->type; }
  std::vector<float> f32() const;    // float16 and integers are converted
  std::vector<int32_t> i32() const;  // integer tensors only

 private:
  std::shared_ptr<const NpyArray> array_;
  size_t offset_;
  size_t size_;
  std::vector<size_t> shape_;
};

struct GoldenCase {
  std::filesystem::path folder;
  std::string name;  // "598/model", as the manifest has it
  std::string kind;
  int pr = 0;
  nlohmann::json manifest;

  static GoldenCase Load(const std::filesystem::path& folder);

  const nlohmann::json& config() const { return manifest.at("config"); }
  const nlohmann::json& run() const { return manifest.at("run"); }
  const nlohmann::json& info() const { return manifest.at("info"); }

  bool Has(const std::string& tensor) const;
  bool HasScalar(const std::string& scalar) const;
  GoldenTensor Get(const std::string& tensor) const;
  double Scalar(const std::string& scalar) const;
  // Names of the tensors that start with `prefix` (and have `role`, if given), in the manifest's order.
  std::vector<std::string> Names(const std::string& prefix = "",
                                 const std::string& role = "") const;

  // The first file that the manifest names and that is not there; empty if all are.
  std::string MissingFile() const;

  // Compare with the tensor or scalar of that name under its tolerance. A difference is a GoogleTest failure (not
  // fatal) that names case, tensor and worst element.
  void Expect(const std::string& tensor, std::span<const float> got) const;
  void ExpectInts(const std::string& tensor, std::span<const int32_t> got) const;
  void ExpectScalar(const std::string& scalar, double got) const;

 private:
  std::shared_ptr<const NpyArray> Array(const std::filesystem::path& file) const;

  std::vector<std::string> tensor_order_;
  mutable std::map<std::filesystem::path, std::shared_ptr<const NpyArray>> arrays_;
};

}  // namespace golf::test
