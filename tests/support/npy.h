// Reader of NumPy's .npy files, as far as recorded test vectors use them: little-endian, C order, of
// float32 (<f4), float16 (<f2), int32 (<i4) or int8 (|i1), header versions 1 and 2.
//
// Tests only: what is wrong with a file is thrown as std::runtime_error, which GoogleTest reports.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace golf::test {

enum class NpyType { kFloat32, kFloat16, kInt32, kInt8 };

struct NpyArray {
  NpyType type = NpyType::kFloat32;
  std::vector<size_t> shape;
  std::vector<uint8_t> data;  // the elements as they lie in the file

  size_t size() const;  // number of elements
  bool is_integer() const { return type == NpyType::kInt32 || type == NpyType::kInt8; }
  float Float(size_t i) const;  // any type, widened or converted
  int32_t Int(size_t i) const;  // integer types only
};

NpyArray ReadNpy(const std::filesystem::path& path);

// IEEE 754 binary16 -> binary32, exact.
float HalfToFloat(uint16_t half);

}  // namespace golf::test
