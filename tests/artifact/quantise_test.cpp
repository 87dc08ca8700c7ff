#include "artifact/quantise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "artifact/half.h"
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

std::vector<int> FirstCodes(const EncodedTensor& t) {
  return {t.codes().begin(), t.codes().begin() + 8};
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
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = Quantise(m.view(), RowsWithSearch(-32, 31, Clips15()));
  omp_set_num_threads(3);
  const auto three = Quantise(m.view(), RowsWithSearch(-32, 31, Clips15()));
  omp_set_num_threads(threads);
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

TEST(Quantise, RefusesWhatCannotBeStored) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    const Matrix m{{1, 2}, {1.0F, bad}};
    EXPECT_EQ(Quantise(m.view(), quantisers::Int8PerRow()).status().code(), Code::kBadNumbers);
    EXPECT_EQ(StoreAsFloat(m.view(), Storage::kFloat32).status().code(), Code::kBadNumbers);
  }
  const Matrix huge{{1, 1}, {1e30F}}, tiny{{1, 1}, {1e-30F}};
  EXPECT_EQ(Quantise(huge.view(), quantisers::Int8PerTensor()).status().code(), Code::kBadNumbers);
  EXPECT_EQ(Quantise(tiny.view(), quantisers::Int8PerTensor()).status().code(), Code::kBadNumbers);
  EXPECT_EQ(StoreAsFloat(huge.view(), Storage::kFloat16).status().code(), Code::kBadNumbers);
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
