#include <gtest/gtest.h>

#include "tests/golden/kinds.h"

namespace golf::test {

void InputsGolden(const GoldenCase& c) {
  for (const auto& name : c.Names())
    EXPECT_EQ(c.Get(name).f32().size(), c.Get(name).size()) << name;
}

}  // namespace golf::test
