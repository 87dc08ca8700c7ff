#include "runtime/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "runtime/recount_bytes.h"

namespace golf {
namespace {

constexpr uint64_t kSeed = 20240520;

bool SameBits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

void Violated(CheckResult& result, double deviation, std::string what) {
  if (result.violations++ == 0) result.first_violation = std::move(what);
  result.worst = std::max(result.worst, deviation);
}

// Counts a comparison that has to come out the same bit for bit.
template <class Describe>
void ExpectSame(CheckResult& result, float before, float after, const Describe& describe) {
  ++result.compared;
  if (SameBits(before, after)) return;
  const double deviation = std::abs(static_cast<double>(after) - static_cast<double>(before));
  Violated(result, deviation, fmt::format("{} {} nats becomes {}", describe(), before, after));
}

// What a place has to say: its score, and what every token of the vocabulary would have scored.
struct Distribution {
  float score = 0;
  std::vector<float> nll;
};

// Observes one run. Ends it, if it has seen enough, with a Status that RunOn takes for success.
class RunObserver : public EvalObserver {
 public:
  const WindowScorer* scorer = nullptr;  // of the run
  bool enough = false;

 protected:
  Status Enough() {
    enough = true;
    return {Code::kInterrupted, "seen enough"};
  }
  Distribution Read(const ScoredWindow& w, size_t target, uint32_t vocab_size) const {
    const size_t offset = target - w.window.first_target();
    Distribution d{w.nll[offset], std::vector<float>(vocab_size)};
    scorer->ScoreEveryTarget(w.window, offset, d.nll);
    return d;
  }
};

bool Scores(const Window& window, size_t target) {
  return window.first_target() <= target && target < window.end_target();
}

// The run on the text as it is: all scores in scoring order, the distributions at the places, what was scored how often.
class FirstRun : public RunObserver {
 public:
  FirstRun(const std::set<size_t>& places, uint32_t vocab_size, size_t targets)
      : places_(places), vocab_size_(vocab_size), scored_(targets) {}

  Status Scored(const ScoredWindow& w) override {
    nll.insert(nll.end(), w.nll.begin(), w.nll.end());
    for (size_t t = w.window.first_target(); t < w.window.end_target(); ++t) {
      if (scored_[t] && again++ == 0) first_again = t;
      scored_[t] = true;
    }
    for (auto p = places_.lower_bound(w.window.first_target());
         p != places_.end() && *p < w.window.end_target(); ++p) {
      if (!distributions.contains(*p)) distributions[*p] = Read(w, *p, vocab_size_);
    }
    bytes = w.sums.bytes;
    return {};
  }

  uint64_t Missing() const { return static_cast<uint64_t>(std::ranges::count(scored_, false)); }
  size_t FirstMissing() const {
    return static_cast<size_t>(std::ranges::find(scored_, false) - scored_.begin());
  }

  std::vector<float> nll;
  std::map<size_t, Distribution> distributions;
  uint64_t bytes = 0, again = 0;  // again: scores of targets that had one
  size_t first_again = 0;

 private:
  const std::set<size_t>& places_;
  const uint32_t vocab_size_;
  std::vector<bool> scored_;
};

// A run on a text that differs behind `place` only: compares the scores up to it.
class CausalityRun : public RunObserver {
 public:
  CausalityRun(const std::vector<float>& before, size_t place, size_t windows, CheckResult& result)
      : before_(before), place_(place), windows_(windows), result_(result) {}

  Status Scored(const ScoredWindow& w) override {
    for (size_t i = 0; i < w.nll.size(); ++i) {
      const size_t target = w.window.first_target() + i;
      const float before = before_[next_++];
      if (target > place_) continue;
      ExpectSame(result_, before, w.nll[i], [&] {
        return fmt::format("with the tokens behind target {} replaced, target {}'s score of",
                           place_, target);
      });
    }
    return --windows_ == 0 ? Enough() : Status();
  }

 private:
  const std::vector<float>& before_;
  const size_t place_;
  size_t windows_;  // that are still to come and score something up to the place
  CheckResult& result_;
  size_t next_ = 0;
};

// A run on a text in which only the token at `place` is another: reads the distribution there.
class TargetRun : public RunObserver {
 public:
  TargetRun(size_t place, uint32_t vocab_size) : place_(place), vocab_size_(vocab_size) {}

  Status Scored(const ScoredWindow& w) override {
    if (!Scores(w.window, place_)) return {};
    distribution = Read(w, place_, vocab_size_);
    return Enough();
  }

  Distribution distribution;

 private:
  const size_t place_;
  const uint32_t vocab_size_;
};

class ScorerChecker : public Checker {
 public:
  ScorerChecker(const CheckSubject& subject, size_t samples, EvalObserver* watch)
      : subject_(subject),
        text_(subject.evaluation.stream),
        watch_(watch),
        packed_(subject.weights.SameLayout()),
        replacements_(std::min<size_t>(subject.vocab_size, subject.evaluation.byte_table.size())) {
    packed_.CopyFrom(subject.weights);
    ChoosePlaces(samples);
  }
  ~ScorerChecker() override { subject_.weights.CopyFrom(packed_); }
  ScorerChecker(const ScorerChecker&) = delete;
  ScorerChecker& operator=(const ScorerChecker&) = delete;

  Result<CheckResult> Run(Check check) override {
    if (first_run_ == nullptr) {
      auto run = std::make_unique<FirstRun>(places_, subject_.vocab_size, text_.targets());
      GOLF_TRY(RunOn(text_, *run));
      first_run_ = std::move(run);
    }
    switch (check) {
      case Check::kCausality:
        return Causality();
      case Check::kTarget:
        return Target();
      case Check::kNormalisation:
        return Normalisation();
      case Check::kCoverage:
        break;
    }
    return Coverage();
  }

 private:
  // Something has to follow a place, so the last target is none.
  void ChoosePlaces(size_t samples) {
    const WindowList& windows = subject_.evaluation.windows;
    const size_t candidates = text_.targets() - 1;
    const size_t chunk = subject_.ttt ? subject_.ttt->chunk_tokens : 0;
    const size_t wanted = std::min(samples, candidates);
    for (size_t turn = 0; places_.size() < wanted && turn < 16 * wanted; ++turn) {
      size_t place = rng_() % candidates;
      if (turn % 4 == 0 && chunk != 0 && candidates >= chunk) {
        place = (1 + rng_() % (candidates / chunk)) * chunk - 1;
      } else if (turn % 4 == 1) {
        place = windows[rng_() % windows.size()].end_target() - 1;
      } else if (turn % 4 == 2) {
        place = NextDocumentEnd(place);
      }
      places_.insert(std::min(place, candidates - 1));
    }
  }

  // The first target from `target` on that is a control token: the end of its document.
  size_t NextDocumentEnd(size_t target) const {
    const std::span<const uint16_t> tokens = text_.tokens();
    while (target + 1 < text_.targets() &&
           subject_.evaluation.byte_table.boundary[tokens[target + 1]] == 0)
      ++target;
    return target;
  }

  uint16_t AnotherThan(uint16_t token) {
    return static_cast<uint16_t>((token + 1 + rng_() % (replacements_ - 1)) % replacements_);
  }

  // Evaluates `text` as a process that has just read the artifact does.
  Status RunOn(const TokenStream& text, RunObserver& observer) {
    subject_.weights.CopyFrom(packed_);
    WindowScorer scorer(subject_.factory, subject_.scoring);
    std::optional<TttTrainer> trainer;
    if (subject_.ttt) {
      GOLF_ASSIGN(trainer, TttTrainer::Create(subject_.kernels, subject_.factory, subject_.weights,
                                              *subject_.ttt, subject_.scoring.rule.length,
                                              subject_.scoring.precision));
    }
    observer.scorer = &scorer;
    std::vector<EvalObserver*> observers;
    if (watch_ != nullptr) observers.push_back(watch_);
    observers.push_back(&observer);
    const Evaluation& e = subject_.evaluation;
    const Status status = Evaluate({text, e.byte_table, e.windows, e.steps}, scorer,
                                   trainer ? &*trainer : nullptr, observers)
                              .status();
    observer.scorer = nullptr;
    return observer.enough ? Status() : status;
  }

  Result<CheckResult> Causality() {
    CheckResult result{Check::kCausality};
    for (const size_t place : places_) {
      std::vector<uint16_t> tokens(text_.tokens().begin(), text_.tokens().end());
      for (size_t i = place + 2; i < tokens.size(); ++i) tokens[i] = AnotherThan(tokens[i]);
      GOLF_ASSIGN(const TokenStream text,
                  TokenStream::FromTokens(std::move(tokens), subject_.vocab_size));
      CausalityRun run(first_run_->nll, place, subject_.evaluation.windows.CountUpTo(place),
                       result);
      GOLF_TRY(RunOn(text, run));
      ++result.places;
    }
    return result;
  }

  Result<CheckResult> Target() {
    CheckResult result{Check::kTarget};
    for (const auto& [place, before] : first_run_->distributions) {
      std::vector<uint16_t> tokens(text_.tokens().begin(), text_.tokens().end());
      const uint16_t old_token = tokens[place + 1], new_token = AnotherThan(old_token);
      tokens[place + 1] = new_token;
      GOLF_ASSIGN(const TokenStream text,
                  TokenStream::FromTokens(std::move(tokens), subject_.vocab_size));
      TargetRun run(place, subject_.vocab_size);
      GOLF_TRY(RunOn(text, run));
      const std::string where = fmt::format("with the token of target {} replaced ({} by {}), ",
                                            place, old_token, new_token);
      for (size_t v = 0; v < before.nll.size(); ++v) {
        ExpectSame(result, before.nll[v], run.distribution.nll[v],
                   [&] { return fmt::format("{}the NLL of token {} there of", where, v); });
      }
      ExpectSame(result, before.nll[new_token], run.distribution.score,
                 [&] { return where + "the new token's NLL of"; });
      ++result.places;
    }
    return result;
  }

  CheckResult Normalisation() const {
    CheckResult result{Check::kNormalisation};
    for (const auto& [place, distribution] : first_run_->distributions) {
      double sum = 0;
      for (float nll : distribution.nll) sum += std::exp(-static_cast<double>(nll));
      const double deviation = std::abs(sum - 1);
      result.worst = std::max(result.worst, deviation);
      result.compared += distribution.nll.size();
      ++result.places;
      if (!(deviation <= kNormalisationTolerance)) {
        Violated(result, deviation,
                 fmt::format("the probabilities at target {} sum to {:.9g}, not 1", place, sum));
      }
      const uint16_t token = text_.tokens()[place + 1];
      const float entry = distribution.nll[token];
      if (!SameBits(entry, distribution.score)) {
        Violated(result, 0,
                 fmt::format("target {} scores {} nats, but the distribution gives its token {} {}",
                             place, distribution.score, token, entry));
      }
    }
    return result;
  }

  Result<CheckResult> Coverage() const {
    CheckResult result{Check::kCoverage};
    const FirstRun& run = *first_run_;
    result.places = text_.targets();
    result.compared = run.nll.size();
    if (run.Missing() > 0) {
      Violated(result, 0, fmt::format("target {} is never scored", run.FirstMissing()));
    }
    if (run.again > 0) {
      Violated(result, 0, fmt::format("target {} is scored more than once", run.first_again));
    }
    result.violations = run.Missing() + run.again;

    const ByteRecount recount(subject_.evaluation.byte_table,
                              {text_.tokens().begin(), text_.tokens().end()});
    const std::optional<uint64_t> bytes = recount.Bytes({0, text_.targets()});
    if (!bytes) return Status(Code::kInternal, "a token of the text is not in the byte table");
    if (*bytes != run.bytes) {
      Violated(
          result, std::abs(static_cast<double>(run.bytes) - static_cast<double>(*bytes)),
          fmt::format("{} bytes were counted with the scores, the text has {}", run.bytes, *bytes));
    }
    return result;
  }

  const CheckSubject subject_;
  const TokenStream& text_;
  EvalObserver* const watch_;
  TensorSet packed_;
  const size_t replacements_;  // tokens that may stand in a text: 0 .. replacements_ - 1
  std::mt19937_64 rng_{kSeed};
  std::set<size_t> places_;
  std::unique_ptr<FirstRun> first_run_;
};

}  // namespace

std::string_view Name(Check check) {
  switch (check) {
    case Check::kCausality:
      return "causality";
    case Check::kTarget:
      return "target";
    case Check::kNormalisation:
      return "normalisation";
    case Check::kCoverage:
      break;
  }
  return "coverage";
}

std::optional<Check> FindCheck(std::string_view name) {
  const auto found = std::ranges::find(kAllChecks, name, [](Check check) { return Name(check); });
  return found == std::end(kAllChecks) ? std::nullopt : std::optional(*found);
}

Result<std::unique_ptr<Checker>> Checker::Create(const CheckSubject& subject, size_t samples,
                                                 EvalObserver* watch) {
  if (subject.evaluation.stream.targets() < 2 ||
      std::min<size_t>(subject.vocab_size, subject.evaluation.byte_table.size()) < 2) {
    return Status(
        Code::kUsage,
        "checks replace tokens: they need a text of three tokens and a vocabulary of two");
  }
  return std::unique_ptr<Checker>(std::make_unique<ScorerChecker>(subject, samples, watch));
}

}  // namespace golf
