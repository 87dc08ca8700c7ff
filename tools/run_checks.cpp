#include "tools/run_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "artifact/check_tokenizer.h"
#include "tools/number_flags.h"

namespace golf {
namespace {

using Json = nlohmann::ordered_json;

// How many runs a check takes to what place depends on the text, so the total is unknown.
class CheckProgress : public EvalObserver {
 public:
  explicit CheckProgress(const OutputFlags& output) : progress_("checking", 0, "windows", output) {}

  std::string note;

  Status Scored(const ScoredWindow&) override {
    progress_.Update(++windows_, note);
    return Interrupted();
  }
  Status Updated(const TrainUpdate&) override { return Interrupted(); }

 private:
  Status Interrupted() const {
    if (!StopRequested()) return {};
    return {Code::kInterrupted, fmt::format("stopped by a signal during check {}", note)};
  }

  uint64_t windows_ = 0;
  Progress progress_;
};

// In the order of kAllChecks, each once.
std::vector<Check> Wanted(const std::vector<std::string>& names) {
  std::vector<Check> checks;
  for (Check check : kAllChecks) {
    const auto asked_for = [&](const std::string& name) {
      return name == "all" || name == Name(check);
    };
    if (std::ranges::any_of(names, asked_for)) checks.push_back(check);
  }
  return checks;
}

std::string Found(const CheckResult& result) {
  switch (result.check) {
    case Check::kCausality:
      return fmt::format("{} scores compared over {} places, {} differ, worst by {:.3g} nats",
                         Grouped(result.compared), result.places, Grouped(result.violations),
                         result.worst);
    case Check::kTarget:
      return fmt::format(
          "{} log-probabilities compared over {} places, {} differ, worst by {:.3g} "
          "nats",
          Grouped(result.compared), result.places, Grouped(result.violations), result.worst);
    case Check::kNormalisation:
      return fmt::format("{} distributions summed, {} wrong, worst |sum - 1| is {:.3g}",
                         result.places, result.violations, result.worst);
    case Check::kCoverage:
      break;
  }
  return fmt::format("{} scores for {} targets, {} wrong; bytes differ by {:.0f}",
                     Grouped(result.compared), Grouped(result.places), Grouped(result.violations),
                     result.worst);
}

void PrintResult(const CheckResult& result) {
  Print("{:<14} {:<6} {}\n", Name(result.check), result.passed() ? "passed" : "FAILED",
        Found(result));
  if (!result.passed()) Print("{:<21} {}\n", "", result.first_violation);
}

Json ToJson(const CheckResult& result) {
  return {{"check", Name(result.check)},
          {"passed", result.passed()},
          {"places", result.places},
          {"compared", result.compared},
          {"violations", result.violations},
          {"worst", result.worst},
          {"first_violation", result.passed() ? Json(nullptr) : Json(result.first_violation)}};
}

}  // namespace

void AddCheckFlags(CLI::App& app, CheckFlags& flags) {
  auto* check =
      app.add_option("--check", flags.names,
                     "Score nothing; try out whether the scores are legal: causality, target, "
                     "normalisation, coverage or all; may be given again")
          ->type_name("NAME")
          ->allow_extra_args(false)
          ->delimiter(',')
          ->check(CLI::IsMember({"causality", "target", "normalisation", "coverage", "all"})
                      .description(""))
          ->excludes("--audit")
          ->excludes("--receipt")
          ->excludes("--print-plan");
  AddCount(app, "--check-samples", flags.samples,
           "Places tried; each takes a run up to it for causality and one for target",
           {1, 1'000'000})
      ->type_name("N")
      ->capture_default_str()
      ->needs(check);
}

Status RunChecks(const CheckFlags& flags, const OutputFlags& output, const RunFacts& facts,
                 const CheckSubject& subject) {
  CheckProgress progress(output);
  GOLF_ASSIGN(const std::unique_ptr<Checker> checker,
              Checker::Create(subject, flags.samples, &progress));
  Json results = Json::array();
  std::string failed;
  for (Check check : Wanted(flags.names)) {
    progress.note = Name(check);
    GOLF_ASSIGN(const CheckResult result, checker->Run(check));
    results.push_back(ToJson(result));
    if (!output.json) PrintResult(result);
    if (!result.passed()) failed += fmt::format("{}{}", failed.empty() ? "" : ", ", Name(check));
  }
  if (!output.json) Print("{:<14} {}\n", "byte table", ByteTableState(facts.tokenizer_checked));
  if (output.json) {
    Json json = {{"format", "golf-checks"}, {"version", 1}};
    json.update(ToJson(facts));
    json["passed"] = failed.empty();
    json["checks"] = std::move(results);
    PrintJson(json);
  }
  if (failed.empty()) return {};
  return {Code::kBadData, fmt::format("{} did not pass: the score of this run would not be legal; "
                                      "the first violation is printed above",
                                      failed)};
}

}  // namespace golf
