// GOLF_CHECK: a broken invariant is a bug of ours; it prints where and aborts.
#pragma once
#include <cstdio>
#include <cstdlib>

#define GOLF_CHECK(condition)                                                            \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (0)
