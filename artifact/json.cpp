#include "artifact/json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

#include "artifact/file.h"
#include "kernels/base/printable.h"

namespace golf {
namespace {

constexpr size_t kMaxOrderedFields = 4096;

Status Bad(const std::string& what) { return {Code::kBadData, what}; }

Status WrongField(std::string_view name, const char* expected) {
  return Bad("field \"" + Printable(name) + "\" is missing or is not " + expected);
}

// Counts values and depth without building anything. The parser stops at the first error; up to
// there it sees the same strings and brackets.
Status CheckLimits(std::string_view text, const JsonLimits& limits, size_t max_fields) {
  if (text.size() > limits.max_bytes) {
    return Bad("JSON of " + std::to_string(text.size()) + " bytes, expected at most " +
               std::to_string(limits.max_bytes));
  }
  size_t depth = 0, values = 0;
  std::vector<size_t> fields(limits.max_depth + 1);  // of the open object of each depth
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > limits.max_depth)
        return Bad("JSON nested deeper than " + std::to_string(limits.max_depth) + " levels");
      fields[depth] = 0;
      ++values;
    } else if (c == ']' || c == '}') {
      depth -= depth > 0 ? 1 : 0;
    } else if (c == ',') {
      ++values;
    } else if (c == ':' && ++fields[depth] > max_fields) {
      return Bad("JSON with an object of more than " + std::to_string(max_fields) + " fields");
    }
    if (values > limits.max_values)
      return Bad("JSON of more than " + std::to_string(limits.max_values) + " values");
  }
  return {};
}

// Of "[json.exception.parse_error.101] parse error at line 3, column 7: syntax error while parsing
// value - invalid literal; last read: '...'": the text between the prefix and the last token, which
// may be long.
std::string ReasonOf(const nlohmann::json::exception& error) {
  std::string_view reason = error.what();
  reason.remove_prefix(std::min(reason.find("] ") + 2, reason.size()));
  constexpr std::string_view kPrefix = "parse error at ";
  if (reason.starts_with(kPrefix)) reason.remove_prefix(kPrefix.size());
  return Printable(reason.substr(0, std::min<size_t>(reason.find("; last read"), 160)));
}

// \uNNNN, as one or two UTF-16 units.
void AppendEscaped(uint32_t code, std::string& text) {
  char escape[16];
  if (code < 0x10000) {
    std::snprintf(escape, sizeof escape, "\\u%04x", code);
  } else {
    const uint32_t offset = code - 0x10000;
    std::snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD800 + (offset >> 10),
                  0xDC00 + (offset & 0x3FF));
  }
  text += escape;
}

}  // namespace

template <class J>
Result<J> ParseJson(std::string_view text, const JsonLimits& limits) {
  // An ordered object compares each key with all before it.
  constexpr bool kOrdered = std::is_same_v<J, nlohmann::ordered_json>;
  GOLF_TRY(CheckLimits(text, limits, kOrdered ? kMaxOrderedFields : limits.max_values));
  try {
    return J::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    return Bad("not JSON: " + ReasonOf(error));
  }
}

template <class J>
Result<J> ReadJson(const std::string& path, const JsonLimits& limits) {
  GOLF_ASSIGN(const std::vector<uint8_t> bytes, ReadFile(path, limits.max_bytes));
  Result<J> json =
      ParseJson<J>({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, limits);
  if (!json.ok()) return Status(json.status().code(), path + ": " + json.status().message());
  return json;
}

template <class J>
const J* JsonField(const J& json, std::string_view name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

template <class J>
Result<std::string> JsonText(const J& json, std::string_view name) {
  const J* field = JsonField(json, name);
  if (field == nullptr || !field->is_string()) return WrongField(name, "a text");
  return field->template get<std::string>();
}

template <class J>
Result<uint64_t> JsonWhole(const J& json, std::string_view name) {
  const J* field = JsonField(json, name);
  if (field == nullptr || !field->is_number_unsigned())
    return WrongField(name, "a whole number of 0 or more");
  return field->template get<uint64_t>();
}

template <class J>
Result<double> JsonNumber(const J& json, std::string_view name) {
  const J* field = JsonField(json, name);
  if (field == nullptr || !field->is_number()) return WrongField(name, "a number");
  const auto value = field->template get<double>();
  if (!std::isfinite(value)) return WrongField(name, "a finite number");
  return value;
}

template <class J>
Result<bool> JsonFlag(const J& json, std::string_view name) {
  const J* field = JsonField(json, name);
  if (field == nullptr || !field->is_boolean()) return WrongField(name, "true or false");
  return field->template get<bool>();
}

template <class J>
std::string DumpJson(const J& json, int indent) {
  const std::string dumped = json.dump(indent, ' ', false, J::error_handler_t::replace);
  std::string text;
  text.reserve(dumped.size());
  for (size_t at = 0; at < dumped.size();) {
    const size_t length = std::max<size_t>(Utf8Length(std::string_view(dumped).substr(at)), 1);
    const std::string_view character(dumped.data() + at, length);
    const uint32_t code = CodePoint(character);
    // The library has escaped ASCII controls inside strings; the others are its own line breaks.
    if (code >= 0x7F && IsUnprintable(code)) {
      AppendEscaped(code, text);
    } else {
      text += character;
    }
    at += length;
  }
  return text;
}

#define GOLF_JSON_OF(J)                                                  \
  template Result<J> ParseJson<J>(std::string_view, const JsonLimits&);  \
  template Result<J> ReadJson<J>(const std::string&, const JsonLimits&); \
  template const J* JsonField<J>(const J&, std::string_view);            \
  template Result<std::string> JsonText<J>(const J&, std::string_view);  \
  template Result<uint64_t> JsonWhole<J>(const J&, std::string_view);    \
  template Result<double> JsonNumber<J>(const J&, std::string_view);     \
  template Result<bool> JsonFlag<J>(const J&, std::string_view);         \
  template std::string DumpJson<J>(const J&, int)
GOLF_JSON_OF(nlohmann::json);
GOLF_JSON_OF(nlohmann::ordered_json);
#undef GOLF_JSON_OF

}  // namespace golf
