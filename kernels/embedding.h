// Table lookup.  y[n,c] = table[ids[n],c];  dtable[ids[n],c] += dy[n,c], tokens in order.
// Shapes:  ids (N); table, dtable (V, C); y, dy (N, C) row-major. N tokens, C channels, V rows of the table.
// Numbers: forward rounds the float table to T; backward adds in float.
// Writes:  y is overwritten; dtable is accumulated.
// Errors:  none; 0 <= ids[n] < V is the caller's promise.
#pragma once
#include "kernels/ops.h"

namespace golf::ref {

template <class T>
void EmbeddingForward(EmbeddingDims d, const int32_t* ids, const T* table, T* y) {
  for (size_t n = 0; n < d.N; ++n)
    for (size_t c = 0; c < d.C; ++c) y[n * d.C + c] = table[size_t(ids[n]) * d.C + c];
}

template <class T>
void EmbeddingBackward(EmbeddingDims d, const int32_t* ids, const T* dy, T* dtable) {
  for (size_t n = 0; n < d.N; ++n)
    for (size_t c = 0; c < d.C; ++c) dtable[size_t(ids[n]) * d.C + c] += dy[n * d.C + c];
}

}  // namespace golf::ref
