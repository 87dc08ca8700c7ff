// How the weights of one tensor are stored: as floats, or as small integers with a step per row or per tensor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

enum class Storage : uint8_t { kFloat32, kFloat16, kCodes };
enum class ScaleType : uint8_t { kFloat16, kFloat32 };
enum class ScaleAxis : uint8_t { kTensor, kRow };

// Values of the enums are those of schemas/artifact.fbs. Fields after `storage` matter for codes only.
struct Encoding {
  Storage storage = Storage::kFloat32;
  int8_t lowest = 0, highest = 0;  // range of the codes
  ScaleType scale_type = ScaleType::kFloat16;
  ScaleAxis scale_axis = ScaleAxis::kTensor;

  size_t element_bytes() const {
    return storage == Storage::kFloat32 ? 4 : storage == Storage::kFloat16 ? 2 : 1;
  }
  size_t scale_bytes() const { return scale_type == ScaleType::kFloat32 ? 4 : 2; }
  // Number of scales of a tensor of this shape.
  size_t scale_count(std::span<const uint32_t> shape) const {
    if (storage != Storage::kCodes) return 0;
    return scale_axis == ScaleAxis::kRow && !shape.empty() ? shape[0] : 1;
  }
  bool operator==(const Encoding&) const = default;
};

// "fp32", "fp16", "codes -32..31 per row, fp16 scale".
std::string ToString(const Encoding& encoding);

// A tensor in its stored form. `data` and `scales` are little-endian elements of the encoding's types.
struct EncodedTensor {
  std::string name;
  std::vector<uint32_t> shape;
  Encoding encoding;
  std::vector<uint8_t> data;    // codes, halves or floats
  std::vector<uint8_t> scales;  // empty unless the encoding has codes

  std::span<const int8_t> codes() const {
    return {reinterpret_cast<const int8_t*>(data.data()), data.size()};
  }
  // The scales as fp32 (exact).
  std::vector<float> ScalesAsFloat() const;
  bool operator==(const EncodedTensor&) const = default;
};

// weight = float(code) * float(scale), or the stored float. `weights` has one element per element of the tensor.
void Dequantise(const EncodedTensor& tensor, std::span<float> weights);

// What every stored tensor satisfies: codes within their range, scales positive, floats, scales and weights finite. kBadData
// names the tensor. Sizes must already fit shape and encoding.
Status CheckEncodedTensor(const EncodedTensor& tensor);

}  // namespace golf
