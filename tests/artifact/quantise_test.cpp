#include "artifact/quantise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "artifact/half.h"
#include "kernels/threads.h"
#include "tests/artifact/samples.h"

namespace golf::test {
namespace {

using quantisers::Clips15;
using quantisers::Clips5;
using quantisers::RowsWithSearch;

// The matrix of the specification: u(k, s) in [-0.5, 0.5) from an integer hash, formed in double.
double HashUniform(uint32_t k, uint32_t s) {
  uint32_t h = k * 2654435761U + (s + 1) * 2246822519U;
  h ^= h >> 15;
  h *= 2654435761U;
  h ^= h >> 13;
  return h / 4294967296.0 - 0.5;
}

struct Matrix {
  std::vector<uint32_t> shape;
  std::vector<float> data;
  TensorView view() const { return {"m", shape, data}; }
};

Matrix CubedUniform(double scale) {
  Matrix m{{256, 512}, {}};
  for (uint32_t k = 0; k < 256 * 512; ++k) {
    const double u = HashUniform(k, 7);
    m.data.push_back(static_cast<float>(scale * u * u * u));
  }
  return m;
}

uint64_t SumOfMagnitudes(const EncodedTensor& t) {
  uint64_t sum = 0;
  for (const int8_t c : t.codes()) sum += static_cast<uint64_t>(std::abs(c));
  return sum;
}

std::vector<int> FirstCodes(const EncodedTensor& t, ptrdiff_t count = 8) {
  return {t.codes().begin(), t.codes().begin() + count};
}

// Every finite weight can be stored, whatever steps that needs.
TEST(Quantise, NearlyZeroRowsAndHugeWeightsAreStored) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  const std::vector<QuantiserSettings> all = {
      quantisers::BestRows(-32, 31),     quantisers::BestRows(-2, 2),
      quantisers::BestRows(-127, 127),   quantisers::Int8PerTensor(),
      quantisers::Int8PerRow(),          quantisers::Pr1004Rows(-15, 15),
      quantisers::RowsPlain(-32, 31, 1), RowsWithSearch(-32, 31, Clips15())};
  for (const float size : {kDenormal, 1e-42F, 1e-30F, 1e-12F, 1e-8F, 3e-7F, 1e-4F, 1.0F, 7e4F, 3e6F,
                           1e20F, 1e38F, kMax}) {
    for (const bool lone : {false, true}) {  // a row among others, or all of them
      Matrix m{{4, 64}, std::vector<float>(4 * 64)};
      for (uint32_t k = 0; k < 4 * 64; ++k) {
        const bool other = lone && k / 64 != 2;
        m.data[k] = static_cast<float>(2 * HashUniform(k, 3)) * (other ? 0.1F : size);
      }
      m.data[2 * 64] = size;
      m.data[2 * 64 + 1] = -size;
      for (const QuantiserSettings& settings : all) {
        const auto t = Quantise(m.view(), settings);
        ASSERT_TRUE(t.ok()) << size << ": " << t.status().message();
        EXPECT_TRUE(CheckEncodedTensor(*t).ok())
            << size << ": " << CheckEncodedTensor(*t).message();
        std::vector<float> weights(m.data.size());
        Dequantise(*t, weights);
        // A row has a step of its own or one of a floor; a tensor's is that of its largest weight.
        const double step =
            std::max({double{size} / settings.encoding.highest, double{settings.floor_step},
                      0x1p-24, settings.encoding.scale_axis == ScaleAxis::kTensor ? 0.1 : 0});
        // A step below 2^-14 is a multiple of 2^-24: rounded down, it leaves the largest weights beyond the codes.
        const double rounding = settings.encoding.highest * 0x1p-25;
        for (size_t k = 2 * 64; k < 3 * 64; ++k)
          ASSERT_NEAR(weights[k], m.data[k], 1.1 * step + rounding)
              << size << " " << ToString(t->encoding);
      }
    }
  }
}

TEST(Quantise, StepsAreFp32OnlyWhereHalvesHaveNone) {
  Matrix m{{2, 3}, {1e-9F, 2e-9F, -3e-9F, 1, 2, 3}};
  const auto rows = Quantise(m.view(), quantisers::BestRows(-31, 31));
  EXPECT_EQ(rows->encoding.scale_type, ScaleType::kFloat16);
  EXPECT_EQ(rows->ScalesAsFloat()[0], 0x1p-24F);
  EXPECT_THAT(FirstCodes(*rows, 3), testing::Each(0));
  m.data = {1e-9F, 2e-9F, -3e-9F, 1e-9F, 0, 0};
  const auto tiny = Quantise(m.view(), quantisers::BestRows(-31, 31));
  EXPECT_EQ(tiny->encoding.scale_type, ScaleType::kFloat32);
  EXPECT_EQ(tiny->codes()[2], -31);
  m.data[5] = 3e6F;
  EXPECT_EQ(Quantise(m.view(), quantisers::BestRows(-31, 31))->encoding.scale_type,
            ScaleType::kFloat32);
  m.data[5] = 2e6F;  // 31 steps of 64,516
  EXPECT_EQ(Quantise(m.view(), quantisers::BestRows(-31, 31))->encoding.scale_type,
            ScaleType::kFloat16);
}

TEST(StoreAsFloat, WhatHasNoHalfIsStoredAsFp32) {
  Matrix gains{{3}, {1, 65519, 2}};  // rounds to 65,504
  EXPECT_EQ(StoreAsFloat(gains.view(), Storage::kFloat16)->encoding.storage, Storage::kFloat16);
  gains.data[1] = -65520;
  const auto stored = StoreAsFloat(gains.view(), Storage::kFloat16);
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(stored->encoding.storage, Storage::kFloat32);
  std::vector<float> weights(3);
  Dequantise(*stored, weights);
  EXPECT_EQ(weights[1], -65520);
}

TEST(Quantise, FiveClipCandidatesGiveThePublishedCheckValues) {
  const auto t = Quantise(CubedUniform(32).view(), RowsWithSearch(-32, 31, Clips5()));
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(SumOfMagnitudes(*t), 1018903U);
  EXPECT_EQ(t->ScalesAsFloat().front(), 0.127685546875F);
  EXPECT_EQ(t->ScalesAsFloat().back(), 0.1259765625F);
  EXPECT_THAT(FirstCodes(*t), testing::ElementsAre(0, 0, 4, 1, 0, -24, 17, 1));
}

TEST(Quantise, FifteenClipCandidatesGiveThePublishedCheckValues) {
  const auto t = Quantise(CubedUniform(32).view(), RowsWithSearch(-32, 31, Clips15()));
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(SumOfMagnitudes(*t), 1037011U);
  EXPECT_EQ(t->ScalesAsFloat().front(), 0.125732421875F);
  EXPECT_EQ(t->ScalesAsFloat().back(), 0.12213134765625F);
  EXPECT_THAT(FirstCodes(*t), testing::ElementsAre(0, 0, 4, 1, 0, -24, 18, 1));
}

TEST(Quantise, RowsBelowTheFloorUseIt) {
  const auto t = Quantise(CubedUniform(4).view(), RowsWithSearch(-32, 31, Clips15()));
  ASSERT_TRUE(t.ok());
  EXPECT_THAT(t->ScalesAsFloat(), testing::Each(0.032257080078125F));
}

TEST(Quantise, Int8PerTensorGivesThePublishedCheckValues) {
  const auto t = Quantise(CubedUniform(32).view(), quantisers::Int8PerTensor());
  ASSERT_TRUE(t.ok());
  EXPECT_THAT(t->ScalesAsFloat(), testing::ElementsAre(0.031494140625F));
  EXPECT_EQ(SumOfMagnitudes(*t), 4143988U);
}

TEST(Quantise, DoesNotDependOnThreads) {
  const Matrix m = CubedUniform(32);
  const int threads = Threads();
  SetThreads(1);
  const auto one = Quantise(m.view(), RowsWithSearch(-32, 31, Clips15()));
  SetThreads(3);
  const auto three = Quantise(m.view(), RowsWithSearch(-32, 31, Clips15()));
  SetThreads(threads);
  EXPECT_EQ(*one, *three);
}

TEST(Quantise, AChoicePerRowIsNeverWorseThanOnePerTensor) {
  const Matrix m = CubedUniform(32);
  const auto error = [&](const EncodedTensor& t) {
    std::vector<float> w(m.data.size());
    Dequantise(t, w);
    double sum = 0;
    for (size_t i = 0; i < w.size(); ++i) sum += std::pow(double{m.data[i]} - double{w[i]}, 2);
    return sum;
  };
  QuantiserSettings settings = RowsWithSearch(-32, 31, Clips15());
  settings.encoding.scale_type = ScaleType::kFloat32;
  const auto per_tensor = Quantise(m.view(), settings);
  settings.choice = ClipChoice::kPerRow;
  const auto per_row = Quantise(m.view(), settings);
  EXPECT_LT(error(*per_row), error(*per_tensor));
}

TEST(Quantise, AnAllZeroTensorHasStepOne) {
  const Matrix m{{2, 3}, std::vector<float>(6)};
  const auto t = Quantise(m.view(), quantisers::Int8PerTensor());
  ASSERT_TRUE(t.ok());
  EXPECT_THAT(t->ScalesAsFloat(), testing::ElementsAre(1.0F));
  EXPECT_THAT(t->codes(), testing::Each(0));
}

TEST(Quantise, AVectorAndAScalarHaveOneStep) {
  for (const std::vector<uint32_t>& shape : {std::vector<uint32_t>{6}, std::vector<uint32_t>{}}) {
    const Matrix m{shape, std::vector<float>(shape.empty() ? 1 : 6, 31.0F)};
    const auto t = Quantise(m.view(), quantisers::BestRows(-31, 31));
    ASSERT_TRUE(t.ok()) << t.status().message();
    EXPECT_EQ(t->encoding.scale_axis, ScaleAxis::kTensor);
    EXPECT_THAT(t->ScalesAsFloat(), testing::ElementsAre(1.0F));
    EXPECT_THAT(t->codes(), testing::Each(31));
  }
}

TEST(Quantise, RefusesNanAndInfinity) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    const Matrix m{{1, 2}, {1.0F, bad}};
    EXPECT_EQ(Quantise(m.view(), quantisers::Int8PerRow()).status().code(), Code::kBadNumbers);
    EXPECT_EQ(StoreAsFloat(m.view(), Storage::kFloat32).status().code(), Code::kBadNumbers);
  }
}

TEST(MagnitudeQuantile, InterpolatesBetweenSortedMagnitudes) {
  const std::vector<float> w = {-4, 1, -3, 2};
  EXPECT_EQ(MagnitudeQuantile(w, 1.0), 4.0F);
  EXPECT_EQ(MagnitudeQuantile(w, 0.0), 1.0F);
  EXPECT_EQ(MagnitudeQuantile(w, 0.5), 2.5F);
  EXPECT_EQ(MagnitudeQuantile(std::vector<float>{-7}, 0.99), 7.0F);
}

TEST(Packing, SmallTensorsStayFloatsUpTo65536Elements) {
  SampleTensors t;
  t.Add("blocks.0.attn.c_q.weight", {256, 256});
  t.Add("blocks.1.attn.c_q.weight", {256, 257});
  t.Add("bigram_emb.proj.weight", {512, 128});
  t.Add("tok_emb.weight", {65537, 1});
  const std::vector<EncodedTensor> e = Encode(t, *FindPacking("pr598"));
  EXPECT_EQ(ToString(e[0].encoding), "fp16");
  EXPECT_EQ(ToString(e[1].encoding), "codes -32..31 per row, fp16 scale");
  EXPECT_EQ(ToString(e[2].encoding), "fp32");
  EXPECT_EQ(ToString(e[3].encoding), "codes -127..127 per tensor, fp16 scale");
  EXPECT_EQ(ToString(Encode(t, *FindPacking("pr668"))[3].encoding),
            "codes -32..31 per row, fp16 scale");
  EXPECT_EQ(FindPacking("pr99").status().code(), Code::kUsage);
}

TEST(Half, RoundTripsEveryValueAndRoundsHalfToEven) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float x = HalfToFloat(static_cast<uint16_t>(h));
    EXPECT_TRUE(std::isnan(x) || FloatToHalf(x) == h) << h;
  }
  EXPECT_EQ(FloatToHalf(2049.0F), FloatToHalf(2048.0F));
  EXPECT_EQ(FloatToHalf(2051.0F), FloatToHalf(2052.0F));
  EXPECT_EQ(FloatToHalf(65519.0F), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0F), 0x7c00);
  EXPECT_EQ(FloatToHalf(0x1p-25F), 0);
  EXPECT_EQ(FloatToHalf(0x1.8p-25F), 1);
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(NAN))));
}

}  // namespace
}  // namespace golf::test
