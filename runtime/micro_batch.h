// How many windows a training pass of test-time training takes.
#pragma once
#include <cstddef>

#include "runtime/ttt_options.h"

namespace golf {

// options.micro_batch, or as many as are fast where that is 0; no more than an update or a chunk has.
size_t MicroBatch(const TttOptions& options, size_t window);

}  // namespace golf
