// The golden comparison itself: what is within a tolerance passes, what is outside fails.
#include "tests/support/golden.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

std::string Npy(const std::string& descr, const std::string& shape, const std::string& data) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(118, ' ');
  return std::string("\x93NUMPY\x01\x00", 8) + char(118) + char(0) + header + data;
}

template <class T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

constexpr char kManifest[] = R"({
  "case": "598/example", "kind": "example", "pr": 598, "config": {}, "run": {}, "info": {},
  "scalars": {"loss": {"value": 2.0, "tol": {"rel": 0.01}}},
  "tensors": {
    "params/z": {"file": "f.npy", "shape": [2], "role": "input"},
    "params/a": {"file": "f.npy", "offset": 2, "shape": [1, 2], "role": "output", "tol": {"relmax": 0.1}},
    "many": {"file": "f.npy", "shape": [4], "role": "output", "tol": {"relmax": 0.1, "frac_outside": 0.25}},
    "exact": {"file": "i.npy", "shape": [3], "role": "output", "tol": {"exact": true}},
    "ints": {"file": "i.npy", "shape": [3], "role": "output", "tol": {"int_frac": 0.4, "int_max": 1}},
    "beyond": {"file": "i.npy", "offset": 2, "shape": [2], "role": "input"}
  }})";

class Golden : public testing::Test {
 protected:
  Golden() {
    folder_.Write("manifest.json", kManifest);
    folder_.Write("f.npy", Npy("<f4", "(4,)", Bytes<float>({1, 2, 3, -10})));
    folder_.Write("i.npy", Npy("|i1", "(3,)", Bytes<int8_t>({-1, 0, 7})));
    case_ = GoldenCase::Load(folder_.path());
  }
  TempFolder folder_;
  inline static GoldenCase case_;  // static: EXPECT_NONFATAL_FAILURE can use nothing else
};

TEST_F(Golden, NamesKeepTheOrderOfTheManifest) {
  EXPECT_EQ(case_.Names("params/"), (std::vector<std::string>{"params/z", "params/a"}));
  EXPECT_EQ(case_.Names("params/", "input"), std::vector<std::string>{"params/z"});
  EXPECT_TRUE(case_.Has("many") && !case_.Has("few"));
}

TEST_F(Golden, TensorsAreSlicesOfTheirFile) {
  EXPECT_EQ(case_.Get("params/a").f32(), (std::vector<float>{3, -10}));
  EXPECT_EQ(case_.Get("params/a").shape(), (std::vector<size_t>{1, 2}));
  EXPECT_THROW(case_.Get("beyond"), std::runtime_error);
  EXPECT_THROW(case_.Get("few"), std::runtime_error);
  EXPECT_THROW(case_.Get("params/a").i32(), std::runtime_error);
}

TEST_F(Golden, RelmaxIsRelativeToTheLargestElement) {
  case_.Expect("params/a", std::vector<float>{3.9f, -10});
  EXPECT_NONFATAL_FAILURE(case_.Expect("params/a", std::vector<float>{4.1f, -10}),
                          "598/example: params/a");
  EXPECT_NONFATAL_FAILURE(case_.Expect("params/a", std::vector<float>{NAN, -10}), "outside");
}

TEST_F(Golden, AShareMayLieOutside) {
  case_.Expect("many", std::vector<float>{100, 2, 3, -10});
  EXPECT_NONFATAL_FAILURE(case_.Expect("many", std::vector<float>{100, 200, 3, -10}), "2 of 4");
}

TEST_F(Golden, IntegersMayDifferByTheirTolerance) {
  case_.ExpectInts("exact", std::vector<int32_t>{-1, 0, 7});
  EXPECT_NONFATAL_FAILURE(case_.ExpectInts("exact", std::vector<int32_t>{-1, 0, 6}), "1 of 3");
  case_.ExpectInts("ints", std::vector<int32_t>{-1, 0, 6});
  EXPECT_NONFATAL_FAILURE(case_.ExpectInts("ints", std::vector<int32_t>{-1, 0, 5}), "outside");
  EXPECT_NONFATAL_FAILURE(case_.ExpectInts("ints", std::vector<int32_t>{-1, 1, 6}), "outside");
}

TEST_F(Golden, ScalarsAreRelative) {
  case_.ExpectScalar("loss", 2.019);
  EXPECT_NONFATAL_FAILURE(case_.ExpectScalar("loss", 2.021), "loss");
  EXPECT_NONFATAL_FAILURE(case_.ExpectScalar("loss", NAN), "loss");
}

TEST(Half, IsWidenedExactly) {
  EXPECT_EQ(HalfToFloat(0x3C00), 1.0f);
  EXPECT_EQ(HalfToFloat(0xC500), -5.0f);
  EXPECT_EQ(HalfToFloat(0x0001), 0x1p-24f);
  EXPECT_EQ(HalfToFloat(0x7BFF), 65504.0f);
  EXPECT_TRUE(std::isinf(HalfToFloat(0x7C00)) && std::isnan(HalfToFloat(0x7E00)));
}

TEST(Npy, RefusesOtherFiles) {
  const TempFolder folder;
  EXPECT_THROW(ReadNpy(folder.Write("a.npy", "nothing of the kind")), std::runtime_error);
  EXPECT_THROW(ReadNpy(folder.Write("a.npy", Npy("<f8", "(1,)", std::string(8, 0)))),
               std::runtime_error);
  EXPECT_THROW(ReadNpy(folder.Write("a.npy", Npy("<f4", "(2,)", std::string(4, 0)))),
               std::runtime_error);
  EXPECT_EQ(ReadNpy(folder.Write("a.npy", Npy("<i4", "()", Bytes<int32_t>({-5})))).Int(0), -5);
}

}  // namespace
}  // namespace golf::test
