// Whole networks: activations, logits, NLL and loss of a forward pass, and the gradients of all parameters.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/table.h"
#include "runtime/executor.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tests/golden/kinds.h"
#include "tests/support/golden_weights.h"
#include "tests/support/network_config.h"

namespace golf::test {
namespace {

class ModelCase {
 public:
  explicit ModelCase(const GoldenCase& c)
      : case_(c), ids_(c.Get("x").i32()), targets_(c.Get("y").i32()) {
    options_.batch = c.run().at("B");
    options_.length = c.run().at("T");
    program_ = BuildNetwork(
        NetworkConfigFromManifest(c.config(), static_cast<uint32_t>(options_.length), c.run()));
    weights_ = LoadGoldenWeights(c, "params/", *program_);
    kernels_ = *CpuKernels();
  }

  void CheckActivations() {
    const auto executor = Make(Mode::kObserve);
    executor->Observe(ids_, nullptr);
    for (const std::string& name : case_.Names("act/", "output")) {
      case_.Expect(name, *executor->ReadValue(name.substr(4)));
    }
    std::vector<float> logits = *executor->ReadValue("logits");
    const double softcap = case_.config().at("logit_softcap");
    for (float& z : logits) z = static_cast<float>(softcap * std::tanh(z / softcap));
    case_.Expect("logits", logits);
  }

  void CheckLosses() {
    const auto executor = Make(Mode::kScore);
    std::vector<float> nll(targets_.size());
    executor->Score(ids_, {}, targets_, nll);
    case_.Expect("nll", nll);
  }

  void CheckGradients() {
    const auto executor = Make(Mode::kTrain);
    TensorSet gradients = weights_.SameLayout();
    const double loss = executor->Train(ids_, targets_, /*loss_scale=*/1.0F, gradients);
    case_.ExpectScalar("loss", loss);
    for (size_t i = 0; i < gradients.count(); ++i)
      case_.Expect("grads/" + gradients.name(i), gradients[i]);
  }

 private:
  std::unique_ptr<Executor> Make(Mode mode) {
    options_.mode = mode;
    return std::move(*Executor::Create(*kernels_, *program_, weights_, options_));
  }

  const GoldenCase& case_;
  const std::vector<int32_t> ids_, targets_;
  ExecutorOptions options_;
  std::unique_ptr<schema::ProgramT> program_;
  TensorSet weights_;
  const KernelTable* kernels_;
};

}  // namespace

void ModelGolden(const GoldenCase& c) {
  ModelCase model(c);
  model.CheckActivations();
  model.CheckLosses();
  model.CheckGradients();
}

}  // namespace golf::test
