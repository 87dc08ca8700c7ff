// The quantisers of the reference scripts, as settings.
#include "artifact/quantise.h"

namespace golf::quantisers {

std::span<const double> Clips5() {
  static constexpr double kFractions[] = {0.9990, 0.9995, 0.9999, 0.99999, 1.0};
  return kFractions;
}

std::span<const double> Clips15() {
  static constexpr double kFractions[] = {0.990,   0.993,   0.995,   0.997,   0.998,
                                          0.999,   0.9993,  0.9995,  0.9997,  0.9999,
                                          0.99993, 0.99995, 0.99997, 0.99999, 1.0};
  return kFractions;
}

QuantiserSettings RowsWithSearch(int lowest, int highest, std::span<const double> clip_fractions) {
  QuantiserSettings s;
  s.encoding = {Storage::kCodes, static_cast<int8_t>(lowest), static_cast<int8_t>(highest),
                ScaleType::kFloat16, ScaleAxis::kRow};
  s.divisor = static_cast<float>(highest);
  s.floor_step = static_cast<float>(1.0 / highest);
  s.clip_fractions.assign(clip_fractions.begin(), clip_fractions.end());
  return s;
}

QuantiserSettings Pr1004Rows(int lowest, int highest) {
  QuantiserSettings s = RowsWithSearch(lowest, highest, Clips5());
  s.stored_step = StoredStep::kNearest;
  return s;
}

QuantiserSettings Int8PerTensor() {
  QuantiserSettings s;
  s.encoding = {Storage::kCodes, -127, 127, ScaleType::kFloat16, ScaleAxis::kTensor};
  s.stored_step = StoredStep::kAlways;
  return s;
}

QuantiserSettings Int8PerRow() {
  static constexpr double kFraction[] = {0.9999984};
  QuantiserSettings s = RowsWithSearch(-127, 127, kFraction);
  s.clip_weights = true;
  return s;
}

QuantiserSettings RowsPlain(int lowest, int highest, double clip_fraction) {
  QuantiserSettings s = RowsWithSearch(lowest, highest, {&clip_fraction, 1});
  s.clip_weights = true;
  s.stored_step = StoredStep::kAlways;
  return s;
}

QuantiserSettings BestRows(int lowest, int highest) {
  QuantiserSettings s = RowsWithSearch(lowest, highest, Clips15());
  s.floor_step = 0;
  s.choice = ClipChoice::kPerRow;
  s.stored_step = StoredStep::kAlways;
  return s;
}

}  // namespace golf::quantisers
