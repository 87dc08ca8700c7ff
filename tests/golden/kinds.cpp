#include "tests/golden/kinds.h"

namespace golf::test {
namespace {

struct Kind {
  std::string_view name;
  GoldenHandler handler;
};

// clang-format off
constexpr Kind kKinds[] = {
    {"inputs", InputsGolden},
    {"adamw", AdamwGolden},
    {"bigram", BigramGolden},
    {"flow", FlowGolden},
    {"mlp", MlpGolden},
    {"muon", MuonGolden},
    {"newton_schulz", NewtonSchulzGolden},
    {"qat", QatGolden},
    {"rope", RopeGolden},
    {"smear", SmearGolden},
    {"value_embedding", ValueEmbeddingGolden},
    {"xsa", XsaGolden},
    {"attention", AttentionGolden},
    {"model", ModelGolden},
    {"optim", OptimGolden},
    {"schedule", ScheduleGolden},
    {"loader", LoaderGolden},
    {"sliding", SlidingGolden},
    {"ttt", TttGolden},
    {"quant_fn", QuantFnGolden},
    {"quant_sd", QuantSdGolden},
    {"bytes", BytesGolden},
};
// clang-format on

}  // namespace

GoldenHandler FindGoldenHandler(std::string_view kind) {
  for (const Kind& known : kKinds) {
    if (known.name == kind) return known.handler;
  }
  return nullptr;
}

}  // namespace golf::test
