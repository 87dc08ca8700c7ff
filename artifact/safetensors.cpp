#include "artifact/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "artifact/file.h"
#include "artifact/file_kind.h"
#include "artifact/half.h"
#include "artifact/json.h"

namespace golf {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes =
    8 << 20;  // tens of thousands of tensors; bounds what parsing may allocate
constexpr JsonLimits kHeaderLimits = {.max_bytes = kMaxHeaderBytes, .max_depth = 4};
constexpr size_t kMaxDimensions = 8;

struct ElementType {
  const char* name;
  size_t bytes;
  float (*load)(const uint8_t* p);
};

constexpr size_t kMaxTypeName = 16;

template <class T>
T Load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

constexpr ElementType kElementTypes[] = {
    {"F16", 2, [](const uint8_t* p) { return HalfToFloat(Load<uint16_t>(p)); }},
    {"BF16", 2,
     [](const uint8_t* p) { return std::bit_cast<float>(uint32_t{Load<uint16_t>(p)} << 16); }},
    {"F32", 4, [](const uint8_t* p) { return Load<float>(p); }},
    {"F64", 8, [](const uint8_t* p) { return static_cast<float>(Load<double>(p)); }},
};

Status Bad(const std::string& why) {
  return {Code::kBadData, "not a usable safetensors file: " + why};
}

// One entry of the header, its range already checked against shape and data.
struct Range {
  std::string name;
  std::vector<uint32_t> shape;
  std::string dtype;
  const ElementType* type;  // null: no floats
  size_t begin, end;
  size_t count;  // of floats
};

std::optional<uint64_t> AsUnsigned(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<uint64_t>();
}

Result<Range> ParseEntry(const std::string& name, const json& entry, size_t data_bytes) {
  const auto bad = [&](const std::string& why) { return Bad("tensor '" + name + "' " + why); };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    return bad("lacks dtype, shape or data_offsets");
  }
  const json &dtype = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
  const auto* type = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                  [&](const ElementType& t) { return dtype == t.name; });
  const bool floats = type != std::end(kElementTypes);
  if (!dtype.is_string() || dtype.get_ref<const std::string&>().size() > kMaxTypeName)
    return bad("has a malformed dtype");
  if (!shape.is_array() || shape.size() > kMaxDimensions) return bad("has a malformed shape");
  if (!offsets.is_array() || offsets.size() != 2) return bad("has malformed data_offsets");
  const auto begin = AsUnsigned(offsets[0]), end = AsUnsigned(offsets[1]);
  if (!begin || !end || *begin > *end || *end > data_bytes) return bad("lies outside the file");
  Range range{name, {}, dtype, floats ? type : nullptr, *begin, *end, 1};
  for (const json& dimension : shape) {
    const auto d = AsUnsigned(dimension);
    if (!d || *d > std::numeric_limits<uint32_t>::max()) return bad("has a malformed shape");
    range.shape.push_back(static_cast<uint32_t>(*d));
  }
  if (!floats) return range;
  for (const uint32_t d : range.shape) {
    if (d > 0 && range.count > data_bytes / d) return bad("is larger than the file");
    range.count *= d;
  }
  if (range.count * type->bytes != *end - *begin) {
    return bad("has " + std::to_string(*end - *begin) + " bytes, its shape needs " +
               std::to_string(range.count * type->bytes));
  }
  return range;
}

}  // namespace

std::vector<TensorView> TensorFile::views() const {
  std::vector<TensorView> views;
  for (const Entry& e : entries_) views.push_back({e.name, e.shape, e.data});
  return views;
}

Result<TensorFile> ParseSafetensors(std::span<const uint8_t> bytes) {
  if (KindOf(bytes) != FileKind::kSafetensors) return NotA("a safetensors file", bytes);
  const auto header_bytes = Load<uint64_t>(bytes.data());
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - 8)
    return Bad("its header is longer than the file or than 8 MiB");
  const std::span<const uint8_t> text = bytes.subspan(8, header_bytes),
                                 data = bytes.subspan(8 + header_bytes);
  const Result<json> parsed =
      ParseJson({reinterpret_cast<const char*>(text.data()), text.size()}, kHeaderLimits);
  if (!parsed.ok()) return Bad("its header: " + parsed.status().message());
  const json& header = *parsed;
  if (!header.is_object()) return Bad("its header is not a JSON object");

  std::vector<Range> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    GOLF_ASSIGN(Range range, ParseEntry(name, entry, data.size()));
    ranges.push_back(std::move(range));
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  size_t covered = 0;
  for (const Range& r : ranges) {
    if (r.begin != covered)
      return Bad("tensor '" + r.name + "' overlaps its predecessor or leaves a gap");
    covered = r.end;
  }
  if (covered != data.size())
    return Bad(std::to_string(data.size() - covered) + " bytes belong to no tensor");

  TensorFile file;
  for (Range& r : ranges) {
    if (r.type == nullptr || r.count == 0) {
      file.left_out_.push_back({std::move(r.name), std::move(r.shape), std::move(r.dtype)});
      continue;
    }
    TensorFile::Entry entry{std::move(r.name), std::move(r.shape), std::vector<float>(r.count)};
    for (size_t i = 0; i < r.count; ++i)
      entry.data[i] = r.type->load(data.data() + r.begin + i * r.type->bytes);
    file.entries_.push_back(std::move(entry));
  }
  return file;
}

Result<TensorFile> ReadSafetensors(const std::string& path) {
  GOLF_ASSIGN(const MappedFile file, MappedFile::Open(path));
  Result<TensorFile> tensors = ParseSafetensors(file.bytes());
  if (!tensors.ok())
    return Status{tensors.status().code(), path + ": " + tensors.status().message()};
  return tensors;
}

Status WriteSafetensors(const std::string& path, std::span<const TensorView> tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  size_t offset = 0;
  for (const TensorView& t : tensors) {
    header[std::string(t.name)] = {{"dtype", "F32"},
                                   {"shape", t.shape},
                                   {"data_offsets", {offset, offset + t.data.size_bytes()}}};
    offset += t.data.size_bytes();
  }
  std::string text = DumpJson(header);
  text.append((8 - text.size() % 8) % 8, ' ');  // the data start 8-byte aligned
  const uint64_t header_bytes = text.size();
  GOLF_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  GOLF_TRY(file.Write({reinterpret_cast<const uint8_t*>(&header_bytes), sizeof(header_bytes)}));
  GOLF_TRY(file.Write(AsBytes(text)));
  for (const TensorView& t : tensors) {
    GOLF_TRY(file.Write({reinterpret_cast<const uint8_t*>(t.data.data()), t.data.size_bytes()}));
  }
  return file.Commit();
}

}  // namespace golf
