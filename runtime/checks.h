// Tries out on a scorer what makes its number legal. The scorer runs again, from the packed weights and with test-time
// training where that is on, on texts that were changed on purpose; all runs are those of evaluate.h, which give the
// number. So a check sees state of any kind that carries from one token to another, wherever it is kept.
//
// A place is a target t, the prediction of token t + 1. Places are chosen with a fixed seed, in turn at the end of a chunk
// (with test-time training), of what a window scores, of a document, and anywhere.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "runtime/evaluate.h"

namespace golf {

enum class Check {
  // Every token behind a place's own is replaced: the scores up to the place stay the same bit for bit.
  kCausality,
  // Only a place's own token is replaced: its log-probabilities of the whole vocabulary stay the same bit for bit, and the
  // new token's score is its entry.
  kTarget,
  // The probabilities at a place sum to 1 within kNormalisationTolerance, and its score is the one of the token that came.
  kNormalisation,
  // Each target is scored exactly once, and the bytes are those of a count that shares no code with the scorer's.
  kCoverage,
};
constexpr Check kAllChecks[] = {Check::kCausality, Check::kTarget, Check::kNormalisation,
                                Check::kCoverage};
constexpr double kNormalisationTolerance = 1e-5;

std::string_view Name(Check check);  // "causality", "target", "normalisation", "coverage"
std::optional<Check> FindCheck(std::string_view name);

struct CheckResult {
  Check check;
  uint64_t places = 0;      // that were tried; kCoverage: targets there are
  uint64_t compared = 0;    // scores and log-probabilities; kCoverage: scores there were
  uint64_t violations = 0;  // of the rule
  double worst = 0;         // deviation in nats; kNormalisation: |sum - 1|; kCoverage: bytes
  std::string first_violation = {};
  bool passed() const { return violations == 0; }
};

struct CheckSubject {
  const KernelTable& kernels;
  ExecutorFactory factory;  // of `weights`
  TensorSet& weights;       // as packed; the runs change them, Checker puts them back
  ScorerOptions scoring;
  std::optional<TttOptions> ttt;
  uint32_t vocab_size;           // of the network
  const Evaluation& evaluation;  // on the text as it is
};

class Checker {
 public:
  // Tries `samples` places, fewer where the text has fewer. `watch` (may be null) observes every run; if it returns a
  // Status that is not ok, so does the check. Keeps references. kUsage where there is nothing to replace: fewer than three
  // tokens, or only one in the vocabulary.
  static Result<std::unique_ptr<Checker>> Create(const CheckSubject& subject, size_t samples,
                                                 EvalObserver* watch);
  virtual ~Checker() = default;

  // A rule that is broken is a result. The Status is for what keeps a check from being made.
  virtual Result<CheckResult> Run(Check check) = 0;
};

}  // namespace golf
