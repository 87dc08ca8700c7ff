// JSON: the one way in and out. A text from outside is bounded before it is parsed and its fields
// are read by type, so that no text makes the parser throw, nest deeply or allocate without bound.
// Written text is valid UTF-8 and holds no character that a terminal would obey.
//
// `J` is nlohmann::json (sorts keys; for texts from outside) or nlohmann::ordered_json (keeps their
// order, but looks each key up in linear time: more than 4096 fields in one object are refused).
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "kernels/base/status.h"

namespace golf {

struct JsonLimits {
  size_t max_bytes = size_t{1} << 26;
  size_t max_depth = 32;                // of arrays and objects inside one another
  size_t max_values = size_t{1} << 20;  // elements and fields, all together
};

// kBadData says which limit is exceeded, or where the text is not JSON ("line 3, column 7: ...").
template <class J = nlohmann::json>
Result<J> ParseJson(std::string_view text, const JsonLimits& limits = {});

// Reads a file. Errors name it; kIo if it cannot be read.
template <class J = nlohmann::json>
Result<J> ReadJson(const std::string& path, const JsonLimits& limits = {});

// The field of an object; null if `json` is no object or has no such field.
template <class J>
const J* JsonField(const J& json, std::string_view name);

// The value of a field; kBadData, naming the field, if it is missing or of another type. Numbers are
// finite, whole numbers are not negative, and neither is converted to the other's type by rounding.
template <class J>
Result<std::string> JsonText(const J& json, std::string_view name);
template <class J>
Result<uint64_t> JsonWhole(const J& json, std::string_view name);
template <class J>
Result<double> JsonNumber(const J& json, std::string_view name);
template <class J>
Result<bool> JsonFlag(const J& json, std::string_view name);

// The text of a value: in one line, or with `indent` >= 0 in lines with that indentation. Bytes that
// are not UTF-8 become U+FFFD; unprintable characters (kernels/base/printable.h) become \uNNNN.
template <class J>
std::string DumpJson(const J& json, int indent = -1);

}  // namespace golf
