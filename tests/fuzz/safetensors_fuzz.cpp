// Forms: 0 a whole file; 1 the header's text, a zero byte and the data, with the header's length in front; 2 tensors, built
// into a file that is right but for one thing at most.
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "artifact/safetensors.h"
#include "kernels/base/check.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"

namespace golf::test {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes Assemble(const std::string& header, std::span<const uint8_t> data) {
  const uint64_t length = header.size();
  Bytes file(sizeof(length));
  std::memcpy(file.data(), &length, sizeof(length));
  file.insert(file.end(), header.begin(), header.end());
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

Result<TensorFile> Read(const Bytes& bytes) {
  Result<TensorFile> file = ParseSafetensors(bytes);
  if (!file.ok()) return file;
  std::set<std::string_view> names;
  size_t elements = 0;
  for (const TensorFile::LeftOut& t : file->left_out()) GOLF_CHECK(names.insert(t.name).second);
  for (const TensorView& t : file->views()) {
    GOLF_CHECK(names.insert(t.name).second);
    GOLF_CHECK(t.data.size() == ElementCount(t.shape) && !t.data.empty());
    elements += t.data.size();
  }
  GOLF_CHECK(2 * elements <= bytes.size());
  return file;
}

void Tensors(InputReader& in) {
  static constexpr const char* kTypes[] = {"F16", "BF16", "F32", "F64", "I64", "f32"};
  static constexpr size_t kWidths[] = {2, 2, 4, 8, 8, 4};
  nlohmann::ordered_json header;
  Bytes data;
  std::vector<uint32_t> first_bits;  // of each F32 tensor's first element
  bool damaged = in.Rarely();
  for (uint32_t i = damaged ? 4 : 1 + in.Below(5); i > 0; --i) {
    const uint32_t type = in.Below(damaged ? 6 : 4);
    nlohmann::json shape = nlohmann::json::array();
    size_t count = 1;
    for (uint32_t d = in.Below(4); d > 0; --d) {
      shape.push_back(1 + in.Below(5));
      count *= shape.back().get<size_t>();
    }
    const size_t begin = data.size();
    Bytes content = in.Bytes(count * kWidths[type]);
    content.resize(count * kWidths[type]);
    if (type == 2) {
      first_bits.push_back(0);
      std::memcpy(&first_bits.back(), content.data(), sizeof(uint32_t));
    }
    data.insert(data.end(), content.begin(), content.end());
    uint64_t offsets[2] = {begin, data.size()};
    if (in.Rarely()) {
      offsets[in.Below(2)] = in.Value<uint64_t>();
      damaged = true;
    }
    if (in.Rarely()) {
      shape.push_back(in.Value<uint64_t>());
      damaged = true;
    }
    header["t" + std::to_string(i)] = {
        {"dtype", kTypes[type]}, {"shape", shape}, {"data_offsets", {offsets[0], offsets[1]}}};
  }
  const auto file = Read(Assemble(header.dump(), data));
  GOLF_CHECK(damaged || file.ok());
  if (damaged) return;
  size_t checked = 0;
  std::vector<TensorView> views = file->views();
  for (size_t i = 0; i < views.size(); ++i) {
    if (header[std::string(views[i].name)]["dtype"] != "F32") continue;
    GOLF_CHECK(std::bit_cast<uint32_t>(views[i].data[0]) == first_bits[checked++]);
  }
  GOLF_CHECK(checked == first_bits.size());
}

}  // namespace

void FuzzSafetensors(std::span<const uint8_t> input) {
  InputReader in(input);
  switch (in.Below(3)) {
    case 0:
      (void)Read(in.Rest());
      return;
    case 1: {
      const Bytes rest = in.Rest();
      const auto zero = std::find(rest.begin(), rest.end(), 0);
      (void)Read(
          Assemble({rest.begin(), zero}, {zero == rest.end() ? zero : zero + 1, rest.end()}));
      return;
    }
    default:
      return Tensors(in);
  }
}

}  // namespace golf::test
