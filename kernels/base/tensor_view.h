// A borrowed, named fp32 tensor: how weights travel between files, quantisers and networks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace golf {

struct TensorView {
  std::string_view name;  // the reference's state_dict name, e.g. "blocks.3.attn.c_q.weight"
  std::span<const uint32_t> shape;  // row-major; empty for a scalar
  std::span<const float> data;
};

inline size_t ElementCount(std::span<const uint32_t> shape) {
  size_t n = 1;
  for (uint32_t d : shape) n *= d;
  return n;
}

}  // namespace golf
