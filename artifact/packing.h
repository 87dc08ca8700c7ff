// Packing presets: which weights get which encoding, as data. A preset is a list of rules; the first that fits a tensor
// decides.
#pragma once
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "artifact/encoding.h"
#include "artifact/quantise.h"
#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

struct PackingRule {
  size_t max_elements =
      std::numeric_limits<size_t>::max();  // fits tensors of at most this size ...
  std::vector<std::string> name_parts;     // ... whose name contains one of these; empty: any name
  std::variant<Storage, QuantiserSettings> encoding;  // kFloat32 or kFloat16, or codes
};

struct Packing {
  std::string name;
  std::vector<PackingRule> rules;  // the last one fits everything
};

// "pr598": int6 rows (5 clip candidates) for attention and MLP, int8 per tensor for embedding tables.
// "pr668": int6 rows, 15 candidates, for everything large. Both keep small tensors as fp32 or fp16.
// "int6": ours. Every matrix of more than 4,096 elements as int6 rows, each with the step of least squared error and
//   no floor; the token table as int8 rows; the rest as fp16.
// "float": fp32 throughout, for comparisons.
// kUsage names the presets if there is none of that name.
Result<Packing> FindPacking(const std::string& name);
std::vector<std::string> PackingNames();

// Encodes all tensors, in order. Errors as in quantise.h.
Result<std::vector<EncodedTensor>> EncodeTensors(const Packing& packing,
                                                 std::span<const TensorView> tensors);

}  // namespace golf
