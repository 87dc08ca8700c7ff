// safetensors files: uint64 length of a JSON header, the header {name: {dtype, shape, data_offsets}}, then the data. This is
// how weights come from and go to PyTorch.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

// Named fp32 tensors in memory, in the order of the file's data. Views borrow; moving the object keeps them valid.
class TensorFile {
 public:
  // A tensor that holds no weights: of another type than floats (a buffer, or codes of a quantiser), or without elements.
  struct LeftOut {
    std::string name;
    std::vector<uint32_t> shape;
    std::string dtype;
  };

  std::vector<TensorView> views() const;
  const std::vector<LeftOut>& left_out() const { return left_out_; }

 private:
  friend Result<TensorFile> ParseSafetensors(std::span<const uint8_t> bytes);
  struct Entry {
    std::string name;
    std::vector<uint32_t> shape;
    std::vector<float> data;
  };
  std::vector<Entry> entries_;
  std::vector<LeftOut> left_out_;
};

// F16, BF16, F32 and F64 are widened or rounded to fp32; tensors of other types are left out. Anything malformed is refused:
// ranges that overlap, leave gaps or contradict their shape, more than 8 dimensions (kBadData). A file of another kind is
// named as what it is.
Result<TensorFile> ReadSafetensors(const std::string& path);
Result<TensorFile> ParseSafetensors(std::span<const uint8_t> bytes);

// As F32, in the given order, atomically.
Status WriteSafetensors(const std::string& path, std::span<const TensorView> tensors);

}  // namespace golf
