// What XZ would make of the tensors of an artifact: a second compressor to compare sizes with, never to store with.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "artifact/size_report.h"

namespace golf {

struct XzSizes {
  struct Group {
    std::string name;
    uint64_t stored,
        xz;  // bytes as they are in the artifact, and each tensor as an XZ file of its own
  };
  std::vector<Group> groups;  // in the report's order
  uint64_t together;          // all tensors, codes and scales, in one XZ file
};

// xz -9e, one thread per tensor.
XzSizes CompareXz(const Artifact& artifact, const SizeReport& report);
void PrintXz(const XzSizes& sizes);
nlohmann::ordered_json ToJson(const XzSizes& sizes);

}  // namespace golf
