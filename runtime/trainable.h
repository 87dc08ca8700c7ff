// Which weights test-time training may change, as an ordered list of rules over weight names.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/weights.h"

namespace golf {

// A rule is '+' (train) or '-' (freeze) followed by a pattern in which '*' stands for any characters: "-blocks.0.*",
// "+*scale*". The last rule that matches a name decides; a name that none matches is trained. A pattern that starts with
// "blocks.-N." counts from the end: "+blocks.-1.*" is the last block.
using TrainableRules = std::vector<std::string>;

// Everything but blocks 0 .. blocks-1 (PR 598, 668, 1232).
TrainableRules FreezeFirstBlocks(uint32_t blocks);

// Everything whose name holds "scale", and the last blocks (PR 1004).
TrainableRules ScalesAndLastBlocks(uint32_t blocks);

// The rules without those on a block that a network of so many blocks lacks.
TrainableRules WithinBlocks(TrainableRules rules, uint32_t blocks);

// One more than the highest n of the names "blocks.<n>.".
uint32_t CountBlocks(const TensorSet& weights);

// '*' matches any characters, none included; everything else itself.
bool MatchesPattern(std::string_view pattern, std::string_view name);
bool MatchesAny(std::span<const std::string> patterns, std::string_view name);

// Per weight whether it is trained. kUsage if a rule is malformed or matches no weight, or nothing is left to train.
Result<std::vector<bool>> SelectTrainable(const TrainableRules& rules, const TensorSet& weights);

}  // namespace golf
