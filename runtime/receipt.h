// The receipt: one JSON object that says what was measured on which files. Everything in it is measured or a hash.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "artifact/budget.h"
#include "kernels/base/status.h"
#include "runtime/packing_facts.h"
#include "runtime/run_facts.h"
#include "runtime/scorer.h"

namespace golf {

// What test-time training did.
struct AdaptationCounts {
  uint64_t chunks = 0;          // of the text
  uint64_t trained_chunks = 0;  // with updates
  uint64_t updates = 0;
};

struct RunResult {
  ScoreSums sums;
  std::optional<AdaptationCounts> adaptation = {};  // nothing without test-time training
  double startup_seconds = 0;                       // from the program's start to the first window
  double scoring_seconds = 0;                       // score and train steps
  double seconds() const { return startup_seconds + scoring_seconds; }
  uint64_t peak_memory_bytes = 0;
  std::string audit_head_sha256;  // empty: no log was written
};

// What the run is held to (rules 2 and 3 of the challenge); none of it changes the number.
struct Limits {
  std::vector<CodeFile> code;         // counts beside the artifact
  std::optional<uint64_t> max_bytes;  // of artifact and code
  std::optional<double> max_eval_seconds, max_train_seconds;

  std::optional<PackingFacts> packing;

  uint64_t code_bytes() const;
};

// The machine and the build, as found while running.
struct Platform {
  std::string cpu, compiler, program_sha256;
  int threads = 0;  // of each process
};
Platform DescribePlatform(int threads);

// Highest resident memory of this process so far.
uint64_t PeakMemoryBytes();

nlohmann::ordered_json Receipt(const RunFacts& facts, const Limits& limits, const RunResult& result,
                               const Platform& platform);

}  // namespace golf
