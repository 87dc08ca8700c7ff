// Newton-Schulz alone, and steps of Muon with given gradients.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/muon.h"
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

// "p0/square" -> "square"
std::string WithoutSet(const std::string& name) { return name.substr(name.find('/') + 1); }

// "g", 2, "square" -> "g2/square"
std::string Numbered(std::string set, size_t number, const std::string& matrix) {
  return set.append(std::to_string(number)).append("/").append(matrix);
}

void CheckSteps(const GoldenCase& c, const std::string& matrix, Element precision) {
  const nlohmann::json& run = c.run();
  const GoldenTensor start = c.Get("p0/" + matrix);
  std::vector<float> p = start.f32(), buffer(p.size());
  Muon muon(CaseKernels(), start.shape()[0], start.shape()[1], precision);
  for (size_t i = 0; i < run.at("steps").get<size_t>(); ++i) {
    const MuonStep step{run.at("lr").get<double>(), run.at("momentum").at(i).get<double>(),
                        run.at("weight_decay").get<double>(), run.at("backend_steps").get<int>()};
    muon.Step(step, c.Get(Numbered("g", i, matrix)).f32().data(), p.data(), buffer.data());
    c.Expect(Numbered(precision == Element::kFloat ? "step" : "own_bf16/step", i + 1, matrix), p);
  }
  c.Expect("momentum/" + matrix, buffer);
}

}  // namespace

// In bf16 two orders of rounding differ by as much as either differs from float, so ours cannot meet the reference's
// bf16 result; it has to be as near to the float result as that one may be.
void NewtonSchulzGolden(const GoldenCase& c) {
  for (const std::string& name : c.Names("G/")) {
    const GoldenTensor start = c.Get(name);
    const auto orthogonalised = [&](Element precision) {
      std::vector<float> x = start.f32();
      Muon(CaseKernels(), start.shape()[0], start.shape()[1], precision)
          .Orthogonalise(c.run().at("steps").get<int>(), x.data());
      return x;
    };
    const std::string matrix = WithoutSet(name);
    c.Expect("X/" + matrix, orthogonalised(Element::kFloat));
    if (!c.Has("own_bf16/" + matrix)) continue;
    const nlohmann::json& tolerance = c.manifest.at("tensors").at("own_bf16/" + matrix).at("tol");
    const std::vector<float> got = orthogonalised(Element::kBf16),
                             want = c.Get("X/" + matrix).f32();
    float largest = 0, worst = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      largest = std::max(largest, std::abs(want[i]));
      worst = std::max(worst, std::abs(got[i] - want[i]));
    }
    EXPECT_LE(worst, tolerance.at("relmax").get<float>() * largest)
        << c.name << ": " << matrix << " in bf16";
  }
}

void MuonGolden(const GoldenCase& c) {
  for (const std::string& name : c.Names("p0/"))
    for (const Element precision : {Element::kFloat, Element::kBf16})
      CheckSteps(c, WithoutSet(name), precision);
}

}  // namespace golf::test
