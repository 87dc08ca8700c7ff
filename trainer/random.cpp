#include "trainer/random.h"

#include <cmath>
#include <numbers>

namespace golf {
namespace {

double ToUnit(uint32_t word) { return (word + 0.5) * 0x1p-32; }  // in (0, 1)

}  // namespace

std::array<uint32_t, 4> Philox::Block(uint64_t index) const {
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  std::array<uint32_t, 4> c = {low(index), high(index), low(stream_), high(stream_)};
  uint32_t k0 = low(seed_), k1 = high(seed_);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {high(p1) ^ c[1] ^ k0, low(p1), high(p0) ^ c[3] ^ k1, low(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

void Philox::FillUniform(float lowest, float highest, std::span<float> out) const {
  for (size_t i = 0; i < out.size();) {
    for (const uint32_t word : Block(i / 4)) {
      if (i == out.size()) break;
      out[i++] = static_cast<float>(lowest + (double{highest} - lowest) * ToUnit(word));
    }
  }
}

void Philox::FillNormal(double standard_deviation, std::span<float> out) const {
  for (size_t i = 0; i < out.size();) {
    const std::array<uint32_t, 4> words = Block(i / 4);
    for (int pair = 0; pair < 4; pair += 2) {
      const double radius = standard_deviation * std::sqrt(-2 * std::log(ToUnit(words[pair])));
      const double angle = 2 * std::numbers::pi * ToUnit(words[pair + 1]);
      if (i < out.size()) out[i++] = static_cast<float>(radius * std::cos(angle));
      if (i < out.size()) out[i++] = static_cast<float>(radius * std::sin(angle));
    }
  }
}

}  // namespace golf
