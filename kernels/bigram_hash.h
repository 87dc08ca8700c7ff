// Buckets of (previous, current) token pairs, per window of T tokens; id[-1] = 0.
//   kXorPrimes:  bucket[0] = R-1, else ((36313 id[t]) xor (27191 id[t-1])) mod
//   kPolynomial: bucket[t] = (1009 id[t-1] + id[t]) mod R
// Shapes:  ids, bucket (B, T); R buckets.
// Numbers: products and sums wrap around as int32; mod is never negative (floor).
// Source:  PR 598 and PR 668.
#pragma once
#include "kernels/ops.h"

namespace golf::ref {

inline int32_t FloorMod(int32_t a, int32_t m) {
  const int32_t r = a % m;
  return r < 0 ? r + m : r;
}

inline int32_t BigramBucket(BigramHashDims d, bool first, uint32_t previous, uint32_t id) {
  const auto buckets = static_cast<int32_t>(d.buckets);
  if (d.hash == BigramHash::kPolynomial)
    return FloorMod(static_cast<int32_t>(1009U * previous + id), buckets);
  if (first) return buckets - 1;
  return FloorMod(static_cast<int32_t>((36313U * id) ^ (27191U * previous)), buckets - 1);
}

inline void BigramBuckets(BigramHashDims d, const int32_t* ids, int32_t* bucket) {
  for (size_t b = 0; b < d.B; ++b)
    for (size_t t = 0; t < d.T; ++t) {
      const int32_t* id = ids + b * d.T + t;
      bucket[b * d.T + t] = BigramBucket(d, t == 0, t == 0 ? 0U : static_cast<uint32_t>(id[-1]),
                                         static_cast<uint32_t>(*id));
    }
}

}  // namespace golf::ref
