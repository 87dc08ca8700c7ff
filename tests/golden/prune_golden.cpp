// Magnitude pruning of a state dict: which weights of the matrices that PR 1004 stores as codes survive.
#include <gtest/gtest.h>

#include <algorithm>

#include "artifact/packing.h"
#include "artifact/prune.h"
#include "tests/golden/kinds.h"
#include "tests/golden/state_dict.h"

namespace golf::test {

void PruneGolden(const GoldenCase& c) {
  const Packing packing = *FindPacking("pr1004");
  const StateDict sd(c);
  for (const TensorView& tensor : sd.views()) {
    const std::string name(tensor.name);
    const bool codes = std::holds_alternative<QuantiserSettings>(RuleOf(packing, tensor).encoding);
    const std::vector<float> pruned =
        Pruned(tensor.data, codes ? c.run().at("prune_pct").get<double>() : 0);
    const auto survives = [](float x) { return x != 0; };
    c.ExpectScalar("nonzero/" + name,
                   static_cast<double>(std::count_if(pruned.begin(), pruned.end(), survives)));
    if (!c.Has("kept/" + name)) continue;
    std::vector<int32_t> kept(pruned.size());
    std::ranges::transform(pruned, kept.begin(), survives);
    c.ExpectInts("kept/" + name, kept);
  }
}

}  // namespace golf::test
