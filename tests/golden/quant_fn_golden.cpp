// Single quantiser functions of the reference scripts on small matrices: "<function>/<matrix>/q", ".../scale", ".../deq".
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "artifact/quantise.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

struct Input {
  std::vector<uint32_t> shape;
  std::vector<float> data;
  TensorView view() const { return {"w", shape, data}; }
};

Input Load(const GoldenCase& c, const std::string& name) {
  const GoldenTensor tensor = c.Get(name);
  Input input{{}, tensor.f32()};
  for (const size_t d : tensor.shape()) input.shape.push_back(static_cast<uint32_t>(d));
  return input;
}

std::span<const double> Clips(int pr) {
  return pr == 668 ? quantisers::Clips15() : quantisers::Clips5();
}

// The scripts treat a vector as one row, with a fixed clip quantile and a scale that stays fp32.
QuantiserSettings WholeVector(int range) {
  static constexpr double kFraction[] = {0.9999984};
  QuantiserSettings s = quantisers::RowsWithSearch(-range, range, kFraction);
  s.encoding.scale_type = ScaleType::kFloat32;
  s.clip_weights = true;
  return s;
}

std::optional<QuantiserSettings> SettingsOf(int pr, const std::string& function, bool vector) {
  const bool gepa = pr == 598 || pr == 668;
  if (gepa && function == "int6") {
    return vector ? WholeVector(31) : quantisers::RowsWithSearch(-32, 31, Clips(pr));
  }
  if (gepa && function == "int8_storage") return quantisers::RowsWithSearch(-127, 127, Clips(pr));
  if (gepa && function == "int8_scalar") return quantisers::Int8PerTensor();
  if (gepa) return std::nullopt;
  if (function == "int8") return vector ? WholeVector(127) : quantisers::Int8PerRow();
  if (pr == 1004 && function == "int5") {
    return vector ? quantisers::RowsPlain(-15, 15, 1.0) : quantisers::Pr1004Rows(-15, 15);
  }
  if (pr != 1232) return std::nullopt;
  // "int6", "int5", "int6_p0.999"; vectors ignore the percentile.
  const int highest = function.starts_with("int5") ? 15 : 31;
  const size_t p = function.find("_p");
  const double fraction =
      p == std::string::npos || vector ? 1.0 : std::stod(function.substr(p + 2));
  return quantisers::RowsPlain(-highest - 1, highest, fraction);
}

void CheckFunction(const GoldenCase& c, const std::string& function, const std::string& matrix) {
  const Input input = Load(c, "w/" + matrix);
  const auto settings = SettingsOf(c.pr, function, input.shape.size() < 2);
  ASSERT_TRUE(settings) << "unknown quantiser " << function;
  const auto encoded = Quantise(input.view(), *settings);
  ASSERT_TRUE(encoded.ok()) << encoded.status().message();
  const std::string prefix = function + "/" + matrix + "/";
  const std::vector<int32_t> codes(encoded->codes().begin(), encoded->codes().end());
  c.ExpectInts(prefix + "q", codes);
  c.Expect(prefix + "scale", encoded->ScalesAsFloat());
  if (!c.Has(prefix + "deq")) return;
  std::vector<float> weights(input.data.size());
  Dequantise(*encoded, weights);
  c.Expect(prefix + "deq", weights);
}

// PR 1004's search for a step per row, before GPTQ chooses the codes.
void CheckRowScales(const GoldenCase& c, const std::string& matrix) {
  const Input input = Load(c, "w/" + matrix);
  QuantiserSettings settings = quantisers::Pr1004Rows(-15, 15);
  settings.encoding.scale_type = ScaleType::kFloat32;
  settings.choice = ClipChoice::kPerRow;
  const auto encoded = Quantise(input.view(), settings);
  ASSERT_TRUE(encoded.ok()) << encoded.status().message();
  c.Expect("row_scales/" + matrix, encoded->ScalesAsFloat());
}

}  // namespace

void QuantFnGolden(const GoldenCase& c) {
  for (const std::string& name : c.Names("", "output")) {
    const size_t slash = name.find('/');
    const std::string function = name.substr(0, slash), rest = name.substr(slash + 1);
    if (function == "row_scales") {
      CheckRowScales(c, rest);
    } else if (rest.ends_with("/q")) {
      CheckFunction(c, function, rest.substr(0, rest.size() - 2));
    }
  }
}

}  // namespace golf::test
