#include "trainer/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace golf {
namespace {

// Known answers of the Philox authors' Random123 (kat_vectors, philox4x32 with 10 rounds): counter and key all zero, all one.
TEST(Philox, MeetsKnownAnswers) {
  const std::array<uint32_t, 4> zeros = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  EXPECT_EQ(Philox(0, 0).Block(0), zeros);
  const std::array<uint32_t, 4> ones = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  EXPECT_EQ(Philox(~0ULL, ~0ULL).Block(~0ULL), ones);
}

TEST(Philox, ShorterDrawsArePrefixesOfLongerOnes) {
  std::vector<float> three(3), nine(9);
  Philox(1, 2).FillNormal(1, three);
  Philox(1, 2).FillNormal(1, nine);
  EXPECT_TRUE(std::equal(three.begin(), three.end(), nine.begin()));
}

TEST(Philox, DrawsHaveTheRightMoments) {
  std::vector<float> x(200'000);
  Philox(42, 7).FillNormal(0.5, x);
  double sum = 0, squares = 0;
  const auto n = static_cast<double>(x.size());
  for (const float v : x) sum += v, squares += double{v} * v;
  EXPECT_NEAR(sum / n, 0, 0.005);
  EXPECT_NEAR(std::sqrt(squares / n), 0.5, 0.005);
  Philox(42, 7).FillUniform(-2, 4, x);
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  EXPECT_GE(*low, -2);
  EXPECT_LE(*high, 4);
  EXPECT_NEAR(*low, -2, 0.001);
  EXPECT_NEAR(*high, 4, 0.001);
}

}  // namespace
}  // namespace golf
