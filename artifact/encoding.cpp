#include "artifact/encoding.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "artifact/half.h"
#include "kernels/base/check.h"

namespace golf {
namespace {

void Widen(std::span<const uint8_t> bytes, size_t element_bytes, std::span<float> out) {
  GOLF_CHECK(bytes.size() == element_bytes * out.size());
  if (element_bytes == 4) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, bytes.data() + 2 * i, sizeof(half));
    out[i] = HalfToFloat(half);
  }
}

}  // namespace

std::string ToString(const Encoding& encoding) {
  if (encoding.storage == Storage::kFloat32) return "fp32";
  if (encoding.storage == Storage::kFloat16) return "fp16";
  return "codes " + std::to_string(encoding.lowest) + ".." + std::to_string(encoding.highest) +
         (encoding.scale_axis == ScaleAxis::kRow ? " per row, " : " per tensor, ") +
         (encoding.scale_type == ScaleType::kFloat32 ? "fp32 scale" : "fp16 scale");
}

std::vector<float> EncodedTensor::ScalesAsFloat() const {
  std::vector<float> out(scales.size() / encoding.scale_bytes());
  Widen(scales, encoding.scale_bytes(), out);
  return out;
}

void Dequantise(const EncodedTensor& tensor, std::span<float> weights) {
  if (tensor.encoding.storage != Storage::kCodes) {
    Widen(tensor.data, tensor.encoding.element_bytes(), weights);
    return;
  }
  const std::vector<float> scales = tensor.ScalesAsFloat();
  const std::span<const int8_t> codes = tensor.codes();
  GOLF_CHECK(codes.size() == weights.size() && !scales.empty());
  const size_t cols = codes.size() / scales.size();
  for (size_t row = 0; row < scales.size(); ++row) {
    const int8_t* code = codes.data() + row * cols;
    float* weight = weights.data() + row * cols;
    for (size_t i = 0; i < cols; ++i) weight[i] = static_cast<float>(code[i]) * scales[row];
  }
}

Status CheckEncodedTensor(const EncodedTensor& tensor) {
  const auto bad = [&](const char* why) {
    return Status{Code::kBadData, "tensor '" + tensor.name + "': " + why};
  };
  const auto finite = [](float x) { return std::isfinite(x); };
  if (tensor.encoding.storage != Storage::kCodes) {
    std::vector<float> values(tensor.data.size() / tensor.encoding.element_bytes());
    Widen(tensor.data, tensor.encoding.element_bytes(), values);
    return std::all_of(values.begin(), values.end(), finite) ? Status() : bad("a NaN or infinity");
  }
  int8_t lowest = 0, highest = 0;
  for (const int8_t c : tensor.codes()) {
    lowest = std::min(lowest, c);
    highest = std::max(highest, c);
  }
  if (lowest < tensor.encoding.lowest || highest > tensor.encoding.highest)
    return bad("a code outside its range");
  const std::vector<float> scales = tensor.ScalesAsFloat();
  const float largest_code = std::max<float>(highest, -static_cast<float>(lowest));
  const bool good = std::all_of(scales.begin(), scales.end(), [&](float s) {
    return finite(s) && s > 0 && finite(s * largest_code);
  });
  return good ? Status()
              : bad("a scale that is not positive and finite, or makes a weight infinite");
}

}  // namespace golf
