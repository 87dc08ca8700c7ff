// What libFuzzer calls. GOLF_FUZZ_TARGET is the function of fuzz_targets.h that this program is about.
#include "tests/fuzz/fuzz_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  golf::test::GOLF_FUZZ_TARGET({data, size});
  return 0;
}
