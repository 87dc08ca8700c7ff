// The byte budget: the artifact's file plus every file of code counts, as in rule 2 of the challenge.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

struct CodeFile {
  std::string path;
  uint64_t bytes;
  std::string sha256 = {};
};

// Bytes and hashes, of what was read; kIo if a file cannot be read.
Result<std::vector<CodeFile>> MeasureCode(const std::vector<std::string>& paths);

struct Budget {
  uint64_t artifact_bytes = 0;
  std::vector<CodeFile> code;
  uint64_t max_bytes = 0;

  uint64_t code_bytes() const;
  uint64_t total_bytes() const { return artifact_bytes + code_bytes(); }
  // Exactly max_bytes fits. Over it: kOverBudget, with the sum written out.
  Status Check() const;
};

}  // namespace golf
