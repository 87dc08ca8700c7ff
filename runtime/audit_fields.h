// Typed access to the JSON of audit logs and receipts, for their verifier.
#pragma once
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "artifact/json.h"

namespace golf::audit {

using Json = nlohmann::ordered_json;

inline const Json* Field(const Json& record, std::string_view name) {
  return JsonField(record, name);
}

// Empty where there is no such text.
inline std::string Text(const Json& record, std::string_view name) {
  const Json* field = Field(record, name);
  return field != nullptr && field->is_string() ? field->get<std::string>() : std::string();
}

// A whole number of 0 or more.
inline std::optional<uint64_t> Whole(const Json& record, std::string_view name) {
  const Json* field = Field(record, name);
  if (field == nullptr || !field->is_number_unsigned()) return std::nullopt;
  return field->get<uint64_t>();
}

// NaN where there is no such number.
inline double Number(const Json& record, std::string_view name) {
  const Json* field = Field(record, name);
  return field != nullptr && field->is_number() ? field->get<double>() : std::nan("");
}

inline bool IsNull(const Json& record, std::string_view name) {
  const Json* field = Field(record, name);
  return field != nullptr && field->is_null();
}

inline bool IsFlag(const Json& record, std::string_view name) {
  const Json* field = Field(record, name);
  return field != nullptr && field->is_boolean();
}

// Finite and 0 or more.
inline bool IsAmount(double x) { return std::isfinite(x) && x >= 0; }

// Lower-case hexadecimal.
inline bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}
inline bool IsDigest(std::string_view text) { return IsHex(text, 64); }

// Whether the object has these fields, in this order, and no others.
inline bool HasFields(const Json& object, std::initializer_list<std::string_view> names) {
  if (!object.is_object() || object.size() != names.size()) return false;
  auto name = names.begin();
  for (const auto& item : object.items()) {
    if (item.key() != *name++) return false;
  }
  return true;
}

}  // namespace golf::audit
