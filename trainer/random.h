// Reproducible random numbers: Philox4x32-10, a counter-based generator. Value i of stream s under a seed is a pure
// function of (seed, s, i), so every tensor can have its own stream and no state has to be saved anywhere.
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (constants and 10 rounds).
#pragma once
#include <array>
#include <cstdint>
#include <span>

namespace golf {

class Philox {
 public:
  Philox(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  // Uniform 32-bit words of block `index`: four at a time.
  std::array<uint32_t, 4> Block(uint64_t index) const;
  // Uniform in [lowest, highest), 32 bits of resolution.
  void FillUniform(float lowest, float highest, std::span<float> out) const;
  // Normal with mean 0 (Box-Muller in double).
  void FillNormal(double standard_deviation, std::span<float> out) const;

 private:
  uint64_t seed_, stream_;
};

}  // namespace golf
