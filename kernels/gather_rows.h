// Picks rows.  dst[n,c] = src[row[n],c].  Shapes: src (., C), row (n), dst (n, C). dst is overwritten.
#pragma once
#include "kernels/ops.h"

namespace golf::ref {

template <class T>
void GatherRows(size_t n, size_t c, const T* src, const int32_t* row, T* dst) {
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < c; ++j) dst[i * c + j] = src[size_t(row[i]) * c + j];
}

}  // namespace golf::ref
