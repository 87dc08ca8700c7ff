// How many threads the CPU kernels use. No result depends on it.
#pragma once

namespace golf {

int Threads();  // at first the OpenMP default: OMP_NUM_THREADS or the number of cores
void SetThreads(int threads);  // at least 1

}  // namespace golf
