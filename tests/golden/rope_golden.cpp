// Rotary tables, and the rotation of whole heads.
#include <cmath>

#include "kernels/rope.h"
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

// Our kernel normalises each head before it turns it; here that is taken back.
std::vector<float> Rotate(const GoldenTensor& x, const RopeTables& tables, size_t rope_dims) {
  const size_t window = x.shape()[1], heads = x.shape()[2], width = x.shape()[3];
  const QkPrepareDims dims{x.shape()[0] * window, heads, width, rope_dims, 0.0};
  std::vector<int32_t> position(dims.N);
  for (size_t n = 0; n < dims.N; ++n) position[n] = static_cast<int32_t>(n % window);
  const std::vector<float> in = x.f32();
  std::vector<float> out(in.size());
  CaseKernels().f32.qk_prepare_forward(dims, in.data(), nullptr, tables.cos.data(),
                                       tables.sin.data(), position.data(), out.data());
  for (size_t i = 0; i < in.size(); i += width) {
    double squares = 0;
    for (size_t j = 0; j < width; ++j) squares += static_cast<double>(in[i + j]) * in[i + j];
    const auto rms = static_cast<float>(std::sqrt(squares / static_cast<double>(width)));
    for (size_t j = 0; j < width; ++j) out[i + j] *= rms;
  }
  return out;
}

// The rows of a (., half) table that the case recorded: all, unless it names some.
std::vector<float> Rows(const nlohmann::json& settings, const std::vector<float>& table,
                        size_t half) {
  if (!settings.contains("rows")) return table;
  std::vector<float> out;
  for (const auto& row : settings.at("rows")) {
    const auto first = table.begin() + static_cast<ptrdiff_t>(row.get<size_t>() * half);
    out.insert(out.end(), first, first + static_cast<ptrdiff_t>(half));
  }
  return out;
}

}  // namespace

void RopeGolden(const GoldenCase& c) {
  for (const auto& [name, settings] : c.run().at("tables").items()) {
    const auto width = settings.at("head_dim").get<uint32_t>(),
               partial = settings.at("rope_dims").get<uint32_t>();
    const uint32_t rope_dims = partial == 0 ? width : partial;
    const RopeTables tables = MakeRopeTables(settings.at("seq_len").get<size_t>(),
                                             {rope_dims, settings.at("base").get<double>(),
                                              settings.at("train_seq_len").get<uint32_t>(), false});
    c.Expect(name + "/cos", Rows(settings, tables.cos, rope_dims / 2));
    c.Expect(name + "/sin", Rows(settings, tables.sin, rope_dims / 2));
    if (c.Has(name + "/rotated"))
      c.Expect(name + "/rotated", Rotate(c.Get("x"), tables, rope_dims));
  }
}

}  // namespace golf::test
