#include "tests/support/npy.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace golf::test {
namespace {

size_t Bytes(NpyType type) {
  if (type == NpyType::kInt8) return 1;
  return type == NpyType::kFloat16 ? 2 : 4;
}

template <class T>
T Load(const std::vector<uint8_t>& data, size_t i) {
  T value;
  std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
  return value;
}

// The header is a Python dictionary literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
std::string_view ValueOf(std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  if (at == std::string_view::npos) throw std::runtime_error("no " + std::string(key));
  const size_t colon = header.find(':', at + key.size());
  return header.substr(header.find_first_not_of(' ', colon + 1));
}

NpyType ParseType(std::string_view descr) {
  if (descr.starts_with("'<f4'")) return NpyType::kFloat32;
  if (descr.starts_with("'<f2'")) return NpyType::kFloat16;
  if (descr.starts_with("'<i4'")) return NpyType::kInt32;
  if (descr.starts_with("'|i1'")) return NpyType::kInt8;
  throw std::runtime_error("element type " + std::string(descr.substr(0, 6)) + " is not read");
}

std::vector<size_t> ParseShape(std::string_view tuple) {
  std::vector<size_t> shape;
  for (size_t i = 1; i < tuple.size() && tuple[i] != ')';) {
    if (tuple[i] < '0' || tuple[i] > '9') {
      ++i;
      continue;
    }
    size_t n = 0;
    for (; i < tuple.size() && tuple[i] >= '0' && tuple[i] <= '9'; ++i)
      n = n * 10 + (tuple[i] - '0');
    shape.push_back(n);
  }
  return shape;
}

NpyArray Parse(const std::vector<uint8_t>& file) {
  constexpr size_t kPrefixBytes = 8;  // "\x93NUMPY", major, minor
  if (file.size() < 12 || std::memcmp(file.data(), "\x93NUMPY", 6) != 0) {
    throw std::runtime_error("not a .npy file");
  }
  const bool long_header = file[6] >= 2;
  size_t header_bytes = file[8] | file[9] << 8;
  if (long_header)
    header_bytes |= static_cast<size_t>(file[10]) << 16 | static_cast<size_t>(file[11]) << 24;
  const size_t start = kPrefixBytes + (long_header ? 4 : 2);
  if (start + header_bytes > file.size()) throw std::runtime_error("the header is cut off");
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + start, header_bytes);

  NpyArray array;
  array.type = ParseType(ValueOf(header, "'descr'"));
  if (!ValueOf(header, "'fortran_order'").starts_with("False"))
    throw std::runtime_error("Fortran order");
  array.shape = ParseShape(ValueOf(header, "'shape'"));
  array.data.assign(file.begin() + static_cast<ptrdiff_t>(start + header_bytes), file.end());
  if (array.data.size() != array.size() * Bytes(array.type)) {
    throw std::runtime_error("has " + std::to_string(array.data.size()) +
                             " bytes of elements, its shape asks for " +
                             std::to_string(array.size() * Bytes(array.type)));
  }
  return array;
}

}  // namespace

size_t NpyArray::size() const {
  size_t n = 1;
  for (size_t extent : shape) n *= extent;
  return n;
}

float NpyArray::Float(size_t i) const {
  switch (type) {
    case NpyType::kFloat32:
      return Load<float>(data, i);
    case NpyType::kFloat16:
      return HalfToFloat(Load<uint16_t>(data, i));
    default:
      return static_cast<float>(Int(i));
  }
}

int32_t NpyArray::Int(size_t i) const {
  if (!is_integer()) throw std::runtime_error("floats were asked for as integers");
  return type == NpyType::kInt32 ? Load<int32_t>(data, i) : Load<int8_t>(data, i);
}

NpyArray ReadNpy(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path.string() + ": cannot be opened");
  const std::vector<uint8_t> file{std::istreambuf_iterator<char>(in),
                                  std::istreambuf_iterator<char>()};
  try {
    return Parse(file);
  } catch (const std::runtime_error& e) {
    throw std::runtime_error(path.string() + ": " + e.what());
  }
}

float HalfToFloat(uint16_t half) {
  const int exponent = half >> 10 & 0x1f;
  const float fraction = static_cast<float>(half & 0x3ff);
  const float sign = half & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * std::ldexp(fraction + 1024.0f, exponent - 25);
}

}  // namespace golf::test
