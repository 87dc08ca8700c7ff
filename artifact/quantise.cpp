#include "artifact/quantise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "artifact/half.h"
#include "kernels/base/check.h"
#include "kernels/threads.h"

// Compiled with -ffp-contract=off (CMakeLists.txt): a fused multiply-add would move codes.

namespace golf {
namespace {

// Starting threads for fewer elements costs more than it saves.
constexpr size_t kWorthThreads = 1 << 16;

// Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 half to even, without a call.
inline float RoundHalfToEven(float x) { return (x + 0x1.8p23F) - 0x1.8p23F; }

// Where a quantile lies in the sorted magnitudes of a row of n.
struct Rank {
  size_t low, high;
  float fraction;
};

Rank RankOf(double fraction, size_t n) {
  const float rank = static_cast<float>(fraction) * static_cast<float>(n - 1);
  const float low = std::floor(rank);
  return {static_cast<size_t>(low), static_cast<size_t>(std::ceil(rank)), rank - low};
}

float Interpolate(float a, float b, float t) {
  return t < 0.5F ? a + t * (b - a) : b - (b - a) * (1.0F - t);
}

// The quantiles of |w| for all fractions. Only the magnitudes from the lowest rank on are sorted.
void MagnitudeQuantiles(std::span<const float> w, std::span<const double> fractions,
                        std::vector<float>& scratch, float* quantiles) {
  scratch.resize(w.size());
  std::transform(w.begin(), w.end(), scratch.begin(), [](float x) { return std::fabs(x); });
  const size_t first = RankOf(*std::min_element(fractions.begin(), fractions.end()), w.size()).low;
  const auto tail = scratch.begin() + static_cast<ptrdiff_t>(first);
  std::nth_element(scratch.begin(), tail, scratch.end());
  std::sort(tail, scratch.end());
  for (size_t i = 0; i < fractions.size(); ++i) {
    const Rank rank = RankOf(fractions[i], w.size());
    quantiles[i] = Interpolate(scratch[rank.low], scratch[rank.high], rank.fraction);
  }
}

// sum (w - code * step)^2: squares in Real, the sum in double with a fixed order.
template <class Real>
double SumOfSquaredErrors(std::span<const float> w, float step, float lowest, float highest) {
  constexpr size_t kLanes = 16;
  const auto square = [=](float x) {
    const float code = RoundHalfToEven(std::min(std::max(x / step, lowest), highest));
    const Real e = Real{x} - Real{code} * Real{step};
    return e * e;
  };
  std::array<double, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= w.size(); i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) lanes[k] += static_cast<double>(square(w[i + k]));
  }
  double sum = 0;
  for (; i < w.size(); ++i) sum += static_cast<double>(square(w[i]));
  for (const double lane : lanes) sum += lane;
  return sum;
}

// Squares in float, as in the reference, unless the squares of weights of this magnitude leave the range of float.
double SquaredError(std::span<const float> w, float largest, float step, float lowest,
                    float highest) {
  return largest > 1e-15F && largest < 1e15F ? SumOfSquaredErrors<float>(w, step, lowest, highest)
                                             : SumOfSquaredErrors<double>(w, step, lowest, highest);
}

// The value that a step has once stored; 0 or infinity if it has none.
float Stored(float step, ScaleType type) {
  return type == ScaleType::kFloat32 ? step : HalfToFloat(FloatToHalf(step));
}

constexpr float kSmallestHalf = 0x1p-24F;

// The settings' type of step. fp32 where the largest step of a tensor has no half, positive and finite.
ScaleType TypeOfSteps(float largest_step, const Encoding& encoding) {
  const float stored = Stored(largest_step, encoding.scale_type);
  return largest_step > 0 && (stored == 0 || std::isinf(stored)) ? ScaleType::kFloat32
                                                                 : encoding.scale_type;
}

// The nearest step that can be stored as this type and makes no weight infinite; 1 for a row of zeros. `step` is at most
// the step that chose the type.
float Storable(float step, ScaleType type, const Encoding& encoding) {
  if (step == 0) return 1;
  if (type == ScaleType::kFloat16) return Stored(step, type) > 0 ? step : kSmallestHalf;
  const float largest_code =
      std::max<float>(encoding.highest, -static_cast<float>(encoding.lowest));
  // One step below, so that rounding does not bring the product back to infinity.
  return std::min(step, std::nextafter(std::numeric_limits<float>::max() / largest_code, 0.0F));
}

void AppendScale(float step, ScaleType type, std::vector<uint8_t>& scales) {
  const uint16_t half = FloatToHalf(step);
  const auto* bytes = reinterpret_cast<const uint8_t*>(type == ScaleType::kFloat32
                                                           ? static_cast<const void*>(&step)
                                                           : static_cast<const void*>(&half));
  scales.insert(scales.end(), bytes,
                bytes + (type == ScaleType::kFloat32 ? sizeof(step) : sizeof(half)));
}

bool AllFinite(std::span<const float> w) {
  return std::all_of(w.begin(), w.end(), [](float x) { return std::isfinite(x); });
}

Status BadNumbers(const TensorView& tensor, const char* why) {
  return {Code::kBadNumbers, "tensor '" + std::string(tensor.name) + "': " + why};
}

// Rows with a step of their own: those of the matrix, or one for all of it.
size_t ScaledRows(const TensorView& tensor, const QuantiserSettings& settings) {
  return tensor.shape.size() < 2 ? 1 : settings.encoding.scale_count(tensor.shape);
}

// f(begin, end) for ranges of rows, shared among threads where the tensor is large enough.
template <class F>
void ForRows(size_t rows, const TensorView& tensor, const F& f) {
  constexpr size_t kTogether = 16;
  ParallelTasks((rows + kTogether - 1) / kTogether, tensor.data.size() >= kWorthThreads,
                [&](size_t i) { f(i * kTogether, std::min(rows, (i + 1) * kTogether)); });
}

// Clips, steps and errors of every (row, candidate), row-major.
struct Candidates {
  std::vector<float> clips, steps;
  std::vector<double> errors;  // only where there is a choice
  ScaleType scale_type;
};

Candidates Examine(const TensorView& tensor, size_t rows, const QuantiserSettings& settings) {
  const size_t count = settings.clip_fractions.size(), cols = tensor.data.size() / rows;
  const auto lowest = static_cast<float>(settings.encoding.lowest),
             highest = static_cast<float>(settings.encoding.highest);
  Candidates c{std::vector<float>(rows * count), std::vector<float>(rows * count),
               std::vector<double>(rows * count), settings.encoding.scale_type};
  std::vector<float> largest(rows);  // magnitude of each row
  const float floor = tensor.shape.size() < 2 ? 0 : settings.floor_step;
  ForRows(rows, tensor, [&](size_t begin, size_t end) {
    std::vector<float> scratch;
    for (size_t r = begin; r < end; ++r) {
      const std::span<const float> w = tensor.data.subspan(r * cols, cols);
      MagnitudeQuantiles(w, settings.clip_fractions, scratch, &c.clips[r * count]);
      largest[r] = scratch.back();
      for (size_t at = r * count; at < (r + 1) * count; ++at)
        c.steps[at] = std::max(c.clips[at] / settings.divisor, floor);
    }
  });
  c.scale_type = TypeOfSteps(*std::max_element(c.steps.begin(), c.steps.end()), settings.encoding);
  ForRows(rows, tensor, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const std::span<const float> w = tensor.data.subspan(r * cols, cols);
      for (size_t at = r * count; at < (r + 1) * count; ++at) {
        const float step = Storable(c.steps[at], c.scale_type, settings.encoding);
        c.steps[at] =
            settings.stored_step == StoredStep::kNever ? step : Stored(step, c.scale_type);
        if (count == 1) break;
        // Below the floor all candidates of a row are one.
        const bool same = at > r * count && c.steps[at] == c.steps[at - 1];
        c.errors[at] =
            same ? c.errors[at - 1] : SquaredError(w, largest[r], c.steps[at], lowest, highest);
      }
    }
  });
  return c;
}

// The candidate of each row.
std::vector<size_t> Choose(const Candidates& c, size_t rows, size_t count, ClipChoice choice) {
  std::vector<size_t> chosen(rows, 0);
  if (count == 1) return chosen;
  if (choice == ClipChoice::kPerRow) {
    for (size_t r = 0; r < rows; ++r) {
      const auto row = c.errors.begin() + static_cast<ptrdiff_t>(r * count);
      chosen[r] =
          static_cast<size_t>(std::min_element(row, row + static_cast<ptrdiff_t>(count)) - row);
    }
    return chosen;
  }
  std::vector<double> totals(count, 0.0);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < count; ++i) totals[i] += c.errors[r * count + i];
  }
  std::fill(chosen.begin(), chosen.end(),
            static_cast<size_t>(std::min_element(totals.begin(), totals.end()) - totals.begin()));
  return chosen;
}

void EncodeRow(std::span<const float> w, float clip, float step, const QuantiserSettings& settings,
               uint8_t* codes) {
  const auto lowest = static_cast<float>(settings.encoding.lowest),
             highest = static_cast<float>(settings.encoding.highest);
  const float bound = settings.clip_weights ? clip : INFINITY;
  for (size_t i = 0; i < w.size(); ++i) {
    const float clipped = std::min(std::max(w[i], -bound), bound);
    const float code = RoundHalfToEven(std::min(std::max(clipped / step, lowest), highest));
    codes[i] = static_cast<uint8_t>(static_cast<int8_t>(code));
  }
}

}  // namespace

Result<RowSteps> ChooseSteps(const TensorView& tensor, const QuantiserSettings& settings) {
  const size_t count = settings.clip_fractions.size();
  GOLF_CHECK(settings.encoding.storage == Storage::kCodes && count > 0 && !tensor.data.empty());
  if (!AllFinite(tensor.data)) return BadNumbers(tensor, "a NaN or infinity among its weights");
  const size_t rows = ScaledRows(tensor, settings);
  const Candidates candidates = Examine(tensor, rows, settings);
  const std::vector<size_t> chosen = Choose(candidates, rows, count, settings.choice);
  RowSteps result{std::vector<float>(rows), std::vector<float>(rows), candidates.scale_type};
  for (size_t r = 0; r < rows; ++r) {
    result.clips[r] = candidates.clips[r * count + chosen[r]];
    result.steps[r] = candidates.steps[r * count + chosen[r]];
  }
  return result;
}

EncodedTensor WithSteps(const TensorView& tensor, const QuantiserSettings& settings,
                        const RowSteps& steps) {
  EncodedTensor encoded{std::string(tensor.name),
                        {tensor.shape.begin(), tensor.shape.end()},
                        settings.encoding,
                        std::vector<uint8_t>(tensor.data.size()),
                        {}};
  encoded.encoding.scale_type = steps.scale_type;
  if (tensor.shape.size() < 2) encoded.encoding.scale_axis = ScaleAxis::kTensor;
  for (const float step : steps.steps) AppendScale(step, steps.scale_type, encoded.scales);
  return encoded;
}

Result<EncodedTensor> Quantise(const TensorView& tensor, const QuantiserSettings& settings) {
  GOLF_ASSIGN(const RowSteps steps, ChooseSteps(tensor, settings));
  EncodedTensor encoded = WithSteps(tensor, settings, steps);
  const size_t rows = steps.steps.size(), cols = tensor.data.size() / rows;
  ForRows(rows, tensor, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      EncodeRow(tensor.data.subspan(r * cols, cols), steps.clips[r], steps.steps[r], settings,
                &encoded.data[r * cols]);
    }
  });
  return encoded;
}

Result<EncodedTensor> StoreAsFloat(const TensorView& tensor, Storage storage) {
  if (!AllFinite(tensor.data)) return BadNumbers(tensor, "a NaN or infinity among its weights");
  const auto has_half = [](float x) { return std::isfinite(HalfToFloat(FloatToHalf(x))); };
  Encoding encoding;
  encoding.storage =
      std::all_of(tensor.data.begin(), tensor.data.end(), has_half) ? storage : Storage::kFloat32;
  EncodedTensor encoded{
      std::string(tensor.name), {tensor.shape.begin(), tensor.shape.end()}, encoding, {}, {}};
  encoded.data.resize(tensor.data.size() * encoding.element_bytes());
  for (size_t i = 0; i < tensor.data.size(); ++i) {
    if (encoding.storage == Storage::kFloat32) {
      std::memcpy(&encoded.data[4 * i], &tensor.data[i], 4);
    } else {
      const uint16_t half = FloatToHalf(tensor.data[i]);
      std::memcpy(&encoded.data[2 * i], &half, 2);
    }
  }
  return encoded;
}

float MagnitudeQuantile(std::span<const float> w, double fraction) {
  std::vector<float> scratch;
  float quantile;
  MagnitudeQuantiles(w, {&fraction, 1}, scratch, &quantile);
  return quantile;
}

}  // namespace golf
