// A text through the JSON door, with small limits. What is accepted keeps to them, is written as text that reads back as the
// same value, and answers every typed question with a value or an error.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "artifact/json.h"
#include "kernels/base/check.h"
#include "kernels/base/printable.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/input_reader.h"

namespace golf::test {
namespace {

using Json = nlohmann::ordered_json;

struct Measure {
  size_t values = 0, depth = 0;

  void Of(const Json& json, size_t level) {
    if (json.is_structured()) depth = std::max(depth, level + 1);
    for (const Json& element : json) {
      ++values;
      if (element.is_structured()) Of(element, level + 1);
    }
  }
};

void Ask(const Json& json, std::string_view name) {
  (void)JsonText(json, name);
  (void)JsonWhole(json, name);
  (void)JsonNumber(json, name);
  (void)JsonFlag(json, name);
}

}  // namespace

void FuzzJson(std::span<const uint8_t> input) {
  InputReader in(input);
  const JsonLimits limits{.max_bytes = 4096, .max_depth = 1 + in.Below(16), .max_values = 256};
  const std::string text = in.RestAsText();
  const auto json = ParseJson<Json>(text, limits);
  if (!json.ok()) {
    GOLF_CHECK(json.status().message().size() < 1024);
    return;
  }
  GOLF_CHECK(text.size() <= limits.max_bytes);
  if (json->is_structured()) {
    Measure measure;
    measure.Of(*json, 0);
    GOLF_CHECK(measure.depth <= limits.max_depth && measure.values <= limits.max_values);
  }
  const std::string written = DumpJson(*json);
  GOLF_CHECK(Printable(written) == written);
  const auto again = ParseJson<Json>(written);
  GOLF_CHECK(again.ok() && DumpJson(*again) == written);
  Ask(*json, "");
  if (json->is_object()) {
    for (const auto& [name, value] : json->items()) Ask(*json, name);
  }
}

}  // namespace golf::test
