// Quantisers: weights -> small integers and steps. Pure functions of (weights, settings): the same bits for any number of
// threads. All arithmetic that decides a code is fp32 and rounds half to even, as in the reference scripts, so that codes
// and scales equal theirs; errors are summed in double, in row order.
//
// Per row r of a matrix (or once for the whole tensor):
//   clip  = quantile(|w_r|, fraction), fraction 1 meaning the maximum
//   step  = max(clip / divisor, floor)
//   code  = clamp(round(w / step), lowest, highest)
// With several fractions the one of least squared error wins, the first of equals.
//
// Every finite weight can be stored. Steps are fp32 instead of fp16 in a tensor whose largest step is
// above 65,504 or has no positive half; elsewhere a row of nearly zero weights gets the smallest half,
// 2^-24. Steps below 2^-14 are multiples of it: at worst the largest code times 2^-25 is lost at the
// ends of a row, 1e-6 with 31. Weights within 4 % of the largest float are moved inwards.
#pragma once
#include <span>
#include <vector>

#include "artifact/encoding.h"
#include "kernels/base/status.h"
#include "kernels/base/tensor_view.h"

namespace golf {

enum class ClipChoice {
  kPerTensor,  // one fraction for all rows, least squared error of the whole tensor (PR 598, 668)
  kPerRow,     // each row its own
};

// Whether codes are chosen, and candidates compared, with the step as rounded to its stored type.
enum class StoredStep {
  kNever,    // with the fp32 step (PR 598, 668)
  kNearest,  // by Quantise only: GPTQ takes the fp32 step (PR 1004)
  kAlways,
};

struct QuantiserSettings {
  Encoding encoding;  // storage kCodes; a tensor of fewer than 2 dimensions is one row
  float divisor = 127;
  float floor_step = 0;  // smallest step of a matrix; a step of 0 (an all-zero row) becomes 1
  std::vector<double> clip_fractions{1.0};  // candidates, in order
  ClipChoice choice = ClipChoice::kPerTensor;
  // Move weights beyond the clip onto it first; matters where the floor binds.
  bool clip_weights = false;
  StoredStep stored_step = StoredStep::kNever;
};

// The clip and step of each row (one for the whole tensor where the scale is): the first half of Quantise, for quantisers
// that choose codes in another way. Steps are those that codes are chosen with: rounded to their type unless stored_step is
// kNever. kBadNumbers, naming the tensor, if a weight is NaN or infinite.
struct RowSteps {
  std::vector<float> clips, steps;
  ScaleType
      scale_type;  // that they are stored as: the settings', or fp32 where that has no such steps
};
Result<RowSteps> ChooseSteps(const TensorView& tensor, const QuantiserSettings& settings);

// Name, shape, encoding and scales of the tensor; the codes are all zero and still to be chosen.
EncodedTensor WithSteps(const TensorView& tensor, const QuantiserSettings& settings,
                        const RowSteps& steps);

// Each weight to its nearest code. Errors as ChooseSteps.
Result<EncodedTensor> Quantise(const TensorView& tensor, const QuantiserSettings& settings);

// fp32 or fp16 storage (round half to even). A tensor with a weight above the range of fp16 is stored as fp32. kBadNumbers if
// a weight is NaN or infinite.
Result<EncodedTensor> StoreAsFloat(const TensorView& tensor, Storage storage);

// The f-quantile of |w| by linear interpolation, as torch.quantile computes it in fp32: rank = float(f) * (n - 1).
float MagnitudeQuantile(std::span<const float> w, double fraction);

// Settings of the reference scripts, and our own.
namespace quantisers {
std::span<const double> Clips5();   // PR 598, 1004
std::span<const double> Clips15();  // PR 668
// Codes lowest..highest; divisor = highest, floor 1 / highest.
QuantiserSettings RowsWithSearch(int lowest, int highest, std::span<const double> clip_fractions);
// PR 1004's, with Clips5.
QuantiserSettings Pr1004Rows(int lowest, int highest);
QuantiserSettings Int8PerTensor();  // PR 598: maximum / 127
QuantiserSettings Int8PerRow();     // PR 1004, 1232: quantile 0.9999984
// PR 1232: no search, codes chosen with the stored step.
QuantiserSettings RowsPlain(int lowest, int highest, double clip_fraction);
// Ours: no floor, each row the step of least squared error out of 15, codes chosen with the stored step.
QuantiserSettings BestRows(int lowest, int highest);
}  // namespace quantisers

}  // namespace golf
