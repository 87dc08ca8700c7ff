// The fp32 tensors of a program in one 64-byte aligned allocation: weights, and anything of the same layout (gradients,
// moments, averages). Index i is the program's weight i.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

namespace schema {
struct ProgramT;
}

class TensorSet {
 public:
  TensorSet() = default;
  // All zero. Tensors lie in program order, each at a 64-byte boundary; padding stays zero.
  explicit TensorSet(const schema::ProgramT& program);
  // Another set of the same layout, all zero.
  TensorSet SameLayout() const;

  size_t count() const { return layout_ ? layout_->size() : 0; }
  const std::string& name(size_t i) const { return (*layout_)[i].name; }
  std::span<const uint32_t> shape(size_t i) const { return (*layout_)[i].shape; }
  std::span<float> operator[](size_t i) {
    return {data_.get() + (*layout_)[i].offset, (*layout_)[i].size};
  }
  std::span<const float> operator[](size_t i) const {
    return {data_.get() + (*layout_)[i].offset, (*layout_)[i].size};
  }
  TensorView view(size_t i) const { return {name(i), shape(i), (*this)[i]}; }
  // Index by name, or count() if there is none.
  size_t Find(std::string_view name) const;

  std::span<float> all() { return {data_.get(), total_}; }  // padding included
  std::span<const float> all() const { return {data_.get(), total_}; }
  size_t parameter_count() const;  // padding excluded
  void CopyFrom(const TensorSet& other);
  void SetZero();

  // Copies tensors in by name. Every weight must be given exactly once with its shape, and nothing else.
  Status Load(std::span<const TensorView> tensors);

  // Whether these tensors are the program's weights. Looks at names and shapes only; nothing is allocated for the weights.
  static Status CheckTensors(const schema::ProgramT& program, std::span<const TensorView> tensors);

  // A new set with these tensors in it, for a program from a file: nothing is allocated before it is clear that the
  // tensors are its weights, for it may claim gigabytes of them.
  static Result<TensorSet> From(const schema::ProgramT& program,
                                std::span<const TensorView> tensors);

 private:
  void LayOut(const schema::ProgramT& program);
  Status CheckLoad(std::span<const TensorView> tensors) const;
  void Copy(std::span<const TensorView> tensors);
  struct Entry {
    std::string name;
    std::vector<uint32_t> shape;
    size_t offset, size;
  };
  struct Free {
    void operator()(float* p) const;
  };
  std::shared_ptr<const std::vector<Entry>> layout_;
  std::unique_ptr<float[], Free> data_;
  size_t total_ = 0;
};

}  // namespace golf
