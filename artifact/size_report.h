// Where an artifact's bytes go. All figures add up to the file's size, to the byte.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "artifact/artifact.h"

namespace golf {

struct TensorSize {
  std::string name;
  std::string encoding;
  std::vector<uint32_t> shape;
  uint64_t elements;
  uint64_t data_bytes, scale_bytes;  // compressed
  // False if the tensor shares a stream with others: then its bytes are its share of that stream by size before compression.
  bool data_is_exact;
  uint64_t bytes() const { return data_bytes + scale_bytes; }
};

// Tensors whose names differ in a number only: "blocks.*.mlp.up_proj.weight".
struct SizeGroup {
  std::string name;
  uint64_t tensors, elements, bytes;
};

struct SizeReport {
  std::vector<TensorSize> tensors;  // in table order
  std::vector<SizeGroup> groups;    // largest first
  uint64_t description_bytes;       // program, tokenizer table, tensor table
  uint64_t envelope_bytes;          // header and content hash
  uint64_t total_bytes;
};

SizeReport MakeSizeReport(const Artifact& artifact);

// "blocks.3.attn.c_q.weight" -> "blocks.*.attn.c_q.weight".
std::string GroupName(const std::string& tensor_name);

}  // namespace golf
