#include "tests/support/golden.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numeric>
#include <stdexcept>

namespace golf::test {
namespace {

[[noreturn]] void Throw(const GoldenCase& c, const std::string& what) {
  throw std::runtime_error(c.name + ": " + what);
}

const nlohmann::json& Entry(const GoldenCase& c, const char* group, const std::string& name) {
  const auto& entries = c.manifest.at(group);
  const auto it = entries.find(name);
  if (it == entries.end()) Throw(c, fmt::format("no \"{}\" among the {}", name, group));
  return *it;
}

// What an element may differ by, and how many elements may differ by more.
struct Allowance {
  double bound = 0;
  double hard_bound = INFINITY;  // nothing may differ by more than this
  size_t outside = 0;
};

Allowance AllowanceOf(const GoldenCase& c, const std::string& name, const nlohmann::json& tol,
                      size_t size, double max_want) {
  const auto share = [&](const char* key) {
    return static_cast<size_t>(std::floor(tol.value(key, 0.0) * static_cast<double>(size)));
  };
  if (tol.contains("exact")) return {};
  if (tol.contains("relmax")) {
    return {.bound = tol.at("relmax").get<double>() * max_want, .outside = share("frac_outside")};
  }
  if (tol.contains("int_frac")) {
    return {.hard_bound = tol.at("int_max").get<double>(), .outside = share("int_frac")};
  }
  Throw(c, fmt::format("{} has a tolerance of an unknown kind: {}", name, tol.dump()));
}

template <class T>
void Compare(const GoldenCase& c, const std::string& name, const std::vector<T>& want,
             std::span<const T> got) {
  ASSERT_EQ(got.size(), want.size()) << c.name << ": number of elements of " << name;
  double max_want = 0;
  for (T w : want) max_want = std::max(max_want, std::fabs(static_cast<double>(w)));
  const auto& tol = Entry(c, "tensors", name).at("tol");
  const Allowance allowed = AllowanceOf(c, name, tol, want.size(), max_want);

  size_t outside = 0, worst = 0;
  double worst_difference = -1;
  for (size_t i = 0; i < want.size(); ++i) {
    double difference = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    if (std::isnan(difference)) difference = INFINITY;
    if (difference > allowed.bound) ++outside;
    if (difference > worst_difference) worst_difference = difference, worst = i;
  }
  if (outside <= allowed.outside && worst_difference <= allowed.hard_bound) return;
  ADD_FAILURE() << fmt::format(
      "{}: {} is outside its tolerance {}\n  {} of {} elements differ by more than {:.3g} ({} "
      "may)\n"
      "  worst: [{}] got {:.9g}, want {:.9g}, difference {:.3g}, largest |want| {:.9g}",
      c.name, name, tol.dump(), outside, want.size(), allowed.bound, allowed.outside, worst,
      double(got[worst]), double(want[worst]), worst_difference, max_want);
}

}  // namespace

GoldenTensor::GoldenTensor(std::shared_ptr<const NpyArray> array, size_t offset,
                           std::vector<size_t> shape)
    : array_(std::move(array)),
      offset_(offset),
      size_(std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>())),
      shape_(std::move(shape)) {}

std::vector<float> GoldenTensor::f32() const {
  std::vector<float> values(size_);
  for (size_t i = 0; i < size_; ++i) values[i] = array_->Float(offset_ + i);
  return values;
}

std::vector<int32_t> GoldenTensor::i32() const {
  std::vector<int32_t> values(size_);
  for (size_t i = 0; i < size_; ++i) values[i] = array_->Int(offset_ + i);
  return values;
}

GoldenCase GoldenCase::Load(const std::filesystem::path& folder) {
  const auto path = folder / "manifest.json";
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path.string() + ": cannot be opened");
  const auto ordered =
      nlohmann::ordered_json::parse(in);  // json sorts by key; the file's order means something
  GoldenCase c;
  c.folder = folder;
  c.manifest = ordered;
  c.name = c.manifest.at("case");
  c.kind = c.manifest.at("kind");
  c.pr = c.manifest.at("pr");
  for (const auto& [name, entry] : ordered.at("tensors").items()) c.tensor_order_.push_back(name);
  return c;
}

bool GoldenCase::Has(const std::string& tensor) const {
  return manifest.at("tensors").contains(tensor);
}

bool GoldenCase::HasScalar(const std::string& scalar) const {
  return manifest.at("scalars").contains(scalar);
}

std::shared_ptr<const NpyArray> GoldenCase::Array(const std::filesystem::path& file) const {
  auto& array = arrays_[file];
  if (!array) array = std::make_shared<NpyArray>(ReadNpy(folder / file));
  return array;
}

GoldenTensor GoldenCase::Get(const std::string& tensor) const {
  const auto& entry = Entry(*this, "tensors", tensor);
  auto array = Array(entry.at("file").get<std::string>());
  GoldenTensor slice(array, entry.value("offset", size_t{0}),
                     entry.at("shape").get<std::vector<size_t>>());
  if (entry.value("offset", size_t{0}) + slice.size() > array->size())
    Throw(*this, tensor + " exceeds its file");
  return slice;
}

double GoldenCase::Scalar(const std::string& scalar) const {
  return Entry(*this, "scalars", scalar).at("value").get<double>();
}

std::vector<std::string> GoldenCase::Names(const std::string& prefix,
                                           const std::string& role) const {
  std::vector<std::string> names;
  for (const auto& tensor : tensor_order_) {
    if (!tensor.starts_with(prefix)) continue;
    if (role.empty() || Entry(*this, "tensors", tensor).at("role") == role) names.push_back(tensor);
  }
  return names;
}

std::string GoldenCase::MissingFile() const {
  for (const auto& entry : manifest.at("tensors")) {
    const std::string file = entry.at("file");
    if (!std::filesystem::exists(folder / file)) return file;
  }
  return "";
}

void GoldenCase::Expect(const std::string& tensor, std::span<const float> got) const {
  Compare<float>(*this, tensor, Get(tensor).f32(), got);
}

void GoldenCase::ExpectInts(const std::string& tensor, std::span<const int32_t> got) const {
  Compare<int32_t>(*this, tensor, Get(tensor).i32(), got);
}

void GoldenCase::ExpectScalar(const std::string& scalar, double got) const {
  const double want = Scalar(scalar);
  const auto& tol = Entry(*this, "scalars", scalar).at("tol");
  const double bound = tol.contains("exact") ? 0 : tol.at("rel").get<double>() * std::fabs(want);
  EXPECT_TRUE(std::fabs(got - want) <= bound) << fmt::format(
      "{}: {} is outside its tolerance {}: got {:.12g}, want {:.12g}, difference {:.3g}", name,
      scalar, tol.dump(), got, want, got - want);
}

}  // namespace golf::test
