// Packing presets: which weights get which encoding, as data. A preset is a list of rules; the first that fits a tensor
// decides.
#pragma once
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "artifact/encoding.h"
#include "artifact/gptq.h"
#include "artifact/hessians.h"
#include "artifact/quantise.h"
#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

struct PackingRule {
  // Fits tensors of at most this size ...
  size_t max_elements = std::numeric_limits<size_t>::max();
  std::vector<std::string> name_parts;  // ... whose name contains one of these; empty: any name
  std::variant<Storage, QuantiserSettings> encoding;  // kFloat32 or kFloat16, or codes
  // Whether GptqMode::kReference, too, codes it by GPTQ where there is a Hessian.
  bool reference_gptq = true;
};

struct Packing {
  std::string name;
  std::vector<PackingRule> rules;  // the last one fits everything
  double prune = 0;  // share of the weights of each matrix stored as codes that become zero first
};

// "pr598": int6 rows (5 clip candidates) for linear layers, int8 per tensor for embedding tables.
// "pr668": int6 rows, 15 candidates, for everything large. Both keep small tensors as fp32 or fp16.
// "pr1004": 10 % pruned; int5 rows (5 candidates) for linear layers, int8 rows for tables, small tensors fp16.
// "pr1232": int6 rows by their maximum for linear layers, int8 rows for tables, small tensors fp16.
// "pr1232-int6": the same with int6 rows for the rest too, as that pull request's text has it.
// "pr1238": PR 1004 with 5 % pruned and int4 for values, outputs and MLP of blocks 2 to 8.
// "int6": ours. Every matrix of more than 4,096 elements as int6 rows, each with the step of least squared error and
//   no floor; the token table as int8 rows; the rest as fp16.
// "int5": the same with int5 rows.
// "float": fp32 throughout, for comparisons.
// kUsage names the presets if there is none of that name.
Result<Packing> FindPacking(const std::string& name);
std::vector<std::string> PackingNames();

// The packing of the published system that a recipe is named after ("pr1004-d576": "pr1004"); "int6" for other recipes.
std::string DefaultPacking(std::string_view recipe);

// The packing with `rule` in front of all its rules for codes: tensors that it stores as floats stay floats.
Packing WithMatricesAs(Packing packing, PackingRule rule);

// The rule of a tensor.
const PackingRule& RuleOf(const Packing& packing, const TensorView& tensor);

struct EncodeOptions {
  const HessianSet* hessians = nullptr;  // matrices that it does not know go to their nearest codes
  GptqSettings gptq;
  double prune = 0;
};

// What GPTQ gained on a matrix: mean squared errors of its outputs, as shares of their mean square.
struct GptqGain {
  std::string name;
  double nearest, reference,
      chosen;  // each weight to its nearest code; mode kReference; as encoded
};

// Encodes all tensors, in order. Errors as in quantise.h. With `gains`, one for each matrix that GPTQ coded, in order;
// costs two more ways of coding it.
Result<std::vector<EncodedTensor>> EncodeTensors(const Packing& packing,
                                                 std::span<const TensorView> tensors,
                                                 const EncodeOptions& options = {},
                                                 std::vector<GptqGain>* gains = nullptr);

}  // namespace golf
