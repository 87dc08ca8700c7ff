// Memory for kernels: 64-byte aligned, a cache line and the widest vector.
#pragma once
#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

namespace golf {

inline constexpr size_t kAlignment = 64;

inline constexpr size_t AlignUp(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

struct AlignedFree {
  void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{kAlignment}); }
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedFree>;

// Not initialised; null where there is no memory left.
inline AlignedBytes AllocateAligned(size_t bytes) {
  return AlignedBytes(static_cast<std::byte*>(
      ::operator new (std::max(bytes, kAlignment), std::align_val_t{kAlignment}, std::nothrow)));
}

}  // namespace golf
