// golf-inspect FILE: prints what a checkpoint or an artifact holds.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "tools/cli.h"

namespace golf {

struct InspectFlags {
  std::string path, export_path, weights;
  std::string tokenizer;  // a SentencePiece model, to compute the byte table from
  bool verify = false, compare_xz = false;
  uint64_t max_bytes = 0;
  std::vector<std::string> code;
  OutputFlags output;
};

// Reading a file checks all of its checksums, so an error means that it is not sound. kOverBudget after printing.
Status InspectFile(const InspectFlags& flags);

}  // namespace golf
