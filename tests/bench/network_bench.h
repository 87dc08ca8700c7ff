// Whole passes of PR 598's network (27 M weights): useful work per second, beside what oneDNN's matrix product reaches
// in the same run with the same threads.
#pragma once
#include <string>

#include "kernels/table.h"

namespace golf::bench {

// Scoring, a training step and an epoch of test-time training, in fp32 and bf16: `rounds` runs of each, taken in turn
// with runs of the matrix product. Times are the shortest. Only rows whose "<type> score", "<type> train" or "<type> TTT"
// contains `filter`.
void NetworkRows(const KernelTable& table, int rounds, const std::string& filter);

// Time per kind of operation, forward and backward, of one training pass in each precision.
void ProfileRows(const KernelTable& table, int rounds, const std::string& filter);

}  // namespace golf::bench
