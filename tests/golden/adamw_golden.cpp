// AdamW in float. (The case also holds a run with parameter, gradient and moments stored in bf16, which we do not do:
// master weights and moments are float.)
#include "tests/golden/kernel_case.h"
#include "tests/golden/kinds.h"

namespace golf::test {

void AdamwGolden(const GoldenCase& c) {
  const nlohmann::json& run = c.run();
  std::vector<float> p = c.Get("p0").f32(), m(p.size()), v(p.size()), history;
  const std::vector<float> gradients = c.Get("grads").f32();
  AdamWStep step{run.at("lr").get<double>(),           run.at("betas").at(0).get<double>(),
                 run.at("betas").at(1).get<double>(),  run.at("eps").get<double>(),
                 run.at("weight_decay").get<double>(), 0};
  for (const float* g = gradients.data(); g != gradients.data() + gradients.size(); g += p.size()) {
    ++step.step;
    CaseKernels().optimizer.adamw(step, p.size(), g, p.data(), m.data(), v.data());
    history.insert(history.end(), p.begin(), p.end());
  }
  c.Expect("p", history);
  c.Expect("exp_avg", m);
  c.Expect("exp_avg_sq", v);
}

}  // namespace golf::test
