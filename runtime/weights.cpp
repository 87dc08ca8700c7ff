#include "runtime/weights.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/base/check.h"
#include "schemas/program_generated.h"

namespace golf {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kFloatsPerLine = kAlignment / sizeof(float);

float* AllocateZeroed(size_t floats) {
  const size_t bytes = std::max<size_t>(floats, kFloatsPerLine) * sizeof(float);
  auto* p = static_cast<float*>(::operator new (bytes, std::align_val_t{kAlignment}));
  std::memset(p, 0, bytes);
  return p;
}

std::string ShapeText(std::span<const uint32_t> shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += fmt::format("{}{}", i ? ", " : "", shape[i]);
  return text + ")";
}

}  // namespace

void TensorSet::Free::operator()(float* p) const {
  ::operator delete (p, std::align_val_t{kAlignment});
}

void TensorSet::LayOut(const schema::ProgramT& program) {
  auto layout = std::make_shared<std::vector<Entry>>();
  for (const auto& weight : program.weights) {
    const size_t size = ElementCount(weight->shape);
    layout->push_back({weight->name, weight->shape, total_, size});
    total_ += (size + kFloatsPerLine - 1) / kFloatsPerLine * kFloatsPerLine;
  }
  layout_ = std::move(layout);
}

TensorSet::TensorSet(const schema::ProgramT& program) {
  LayOut(program);
  data_.reset(AllocateZeroed(total_));
}

Status TensorSet::CheckTensors(const schema::ProgramT& program,
                               std::span<const TensorView> tensors) {
  TensorSet set;
  set.LayOut(program);
  return set.CheckLoad(tensors);
}

Result<TensorSet> TensorSet::From(const schema::ProgramT& program,
                                  std::span<const TensorView> tensors) {
  TensorSet set;
  set.LayOut(program);
  GOLF_TRY(set.CheckLoad(tensors));
  set.data_.reset(AllocateZeroed(set.total_));
  set.Copy(tensors);
  return set;
}

TensorSet TensorSet::SameLayout() const {
  TensorSet other;
  other.layout_ = layout_;
  other.total_ = total_;
  other.data_.reset(AllocateZeroed(total_));
  return other;
}

size_t TensorSet::Find(std::string_view name) const {
  for (size_t i = 0; i < count(); ++i) {
    if ((*layout_)[i].name == name) return i;
  }
  return count();
}

size_t TensorSet::parameter_count() const {
  size_t n = 0;
  for (size_t i = 0; i < count(); ++i) n += (*layout_)[i].size;
  return n;
}

void TensorSet::CopyFrom(const TensorSet& other) {
  GOLF_CHECK(total_ == other.total_);
  std::memcpy(data_.get(), other.data_.get(), total_ * sizeof(float));
}

void TensorSet::SetZero() { std::memset(data_.get(), 0, total_ * sizeof(float)); }

Status TensorSet::Load(std::span<const TensorView> tensors) {
  GOLF_TRY(CheckLoad(tensors));
  Copy(tensors);
  return {};
}

void TensorSet::Copy(std::span<const TensorView> tensors) {
  for (const TensorView& tensor : tensors) {
    const std::span<float> weight = (*this)[Find(tensor.name)];
    GOLF_CHECK(tensor.data.size() == weight.size());
    std::ranges::copy(tensor.data, weight.begin());
  }
}

Status TensorSet::CheckLoad(std::span<const TensorView> tensors) const {
  std::vector<bool> given(count(), false);
  for (const TensorView& tensor : tensors) {
    const size_t i = Find(tensor.name);
    if (i == count()) {
      return {Code::kBadData,
              fmt::format("tensor '{}': the network has no weight of that name", tensor.name)};
    }
    if (given[i]) return {Code::kBadData, fmt::format("tensor '{}': given twice", tensor.name)};
    // A scalar may be written as () or (1), as PyTorch code does both.
    const bool same_shape = std::ranges::equal(tensor.shape, shape(i)) ||
                            (ElementCount(tensor.shape) == 1 && ElementCount(shape(i)) == 1);
    if (!same_shape) {
      return {Code::kBadData,
              fmt::format("tensor '{}': expected shape {}, found {}; is this the "
                          "recipe the weights were trained with?",
                          tensor.name, ShapeText(shape(i)), ShapeText(tensor.shape))};
    }
    given[i] = true;
  }
  for (size_t i = 0; i < count(); ++i) {
    if (!given[i]) {
      return {Code::kBadData, fmt::format("tensor '{}' {}: missing", name(i), ShapeText(shape(i)))};
    }
  }
  return {};
}

}  // namespace golf
