// What is known about each kind of golden case: one handler, in tests/golden/<kind>_golden.cpp, which computes the
// case's outputs with our code from its inputs and calls GoldenCase::Expect on them. Handlers take every dimension
// and setting from the manifest, so that other sets of the same format run through them too.
//
// To add a kind: declare its handler here, enter it in the table of kinds.cpp, list its source in CMakeLists.txt.
#pragma once
#include <string_view>

#include "tests/support/golden.h"

namespace golf::test {

using GoldenHandler = void (*)(const GoldenCase&);

// The handler of `kind`, or nullptr if the tests do not know it.
GoldenHandler FindGoldenHandler(std::string_view kind);

void InputsGolden(const GoldenCase& c);  // arrays that other cases share: nothing to compute
void AdamwGolden(const GoldenCase& c);
void AttentionGolden(const GoldenCase& c);
void BigramGolden(const GoldenCase& c);
void BytesGolden(const GoldenCase& c);
void FlowGolden(const GoldenCase& c);
void LoaderGolden(const GoldenCase& c);
void MlpGolden(const GoldenCase& c);
void ModelGolden(const GoldenCase& c);
void MuonGolden(const GoldenCase& c);
void NewtonSchulzGolden(const GoldenCase& c);
void OptimGolden(const GoldenCase& c);
void QatGolden(const GoldenCase& c);
void QuantFnGolden(const GoldenCase& c);
void QuantSdGolden(const GoldenCase& c);
void RopeGolden(const GoldenCase& c);
void ScheduleGolden(const GoldenCase& c);
void SlidingGolden(const GoldenCase& c);
void SmearGolden(const GoldenCase& c);
void TttGolden(const GoldenCase& c);
void ValueEmbeddingGolden(const GoldenCase& c);
void XsaGolden(const GoldenCase& c);

}  // namespace golf::test
