// Learning-rate factor, Muon momentum and late-QAT trigger at chosen steps of runs by steps and by wall clock.
#include <gtest/gtest.h>

#include "tests/golden/kinds.h"
#include "trainer/schedule.h"

namespace golf::test {
namespace {

// The manifest lists only what differs from the script's defaults.
struct Defaults {
  int pr;
  bool late_qat;
  double qat_threshold;
};
constexpr Defaults kDefaults[] = {
    {598, true, 0.15}, {668, true, 0.15}, {1004, true, 0.5}, {1232, false, 0.1}};

struct Settings {
  ScheduleSettings schedule;
  MuonSettings muon;
  LateQatSettings late_qat;
};

Settings Read(const GoldenCase& c, const nlohmann::json& run) {
  Settings s;
  s.schedule.max_wallclock_seconds = 600;
  for (const Defaults& d : kDefaults) {
    if (d.pr == c.pr) {
      s.late_qat.enabled = d.late_qat;
      s.late_qat.threshold = d.qat_threshold;
    }
  }
  const nlohmann::json& args = run.at("args");
  const auto read = [&args](const char* name, auto& field) {
    if (args.contains(name)) args.at(name).get_to(field);
  };
  read("iterations", s.schedule.iterations);
  read("warmdown_iters", s.schedule.warmdown_iters);
  read("max_wallclock_seconds", s.schedule.max_wallclock_seconds);
  read("muon_momentum", s.muon.momentum);
  read("muon_momentum_warmup_start", s.muon.momentum_warmup_start);
  read("muon_momentum_warmup_steps", s.muon.momentum_warmup_steps);
  read("late_qat", s.late_qat.enabled);
  read("qat_threshold", s.late_qat.threshold);
  read("late_qat_threshold", s.late_qat.threshold);
  read("soft_round_qat", s.late_qat.soft);
  if (run.contains("env") && run.at("env").contains("QAT_THRESHOLD")) {
    s.late_qat.threshold = std::stod(run.at("env").at("QAT_THRESHOLD").get<std::string>());
  }
  return s;
}

}  // namespace

void ScheduleGolden(const GoldenCase& c) {
  for (const auto& [name, run] : c.run().at("settings").items()) {
    const Settings s = Read(c, run);
    const std::vector<uint64_t> steps = run.at("steps");
    const std::vector<double> elapsed_ms = run.contains("elapsed_ms")
                                               ? run.at("elapsed_ms").get<std::vector<double>>()
                                               : std::vector<double>(steps.size());
    std::vector<float> scale, momentum, sharpness;
    std::vector<int32_t> qat_on;
    bool on = false;
    for (size_t i = 0; i < steps.size(); ++i) {
      const double factor = LearningRateFactor(s.schedule, steps[i], elapsed_ms[i]);
      on = LateQatOn(s.late_qat, on, factor);
      scale.push_back(static_cast<float>(factor));
      momentum.push_back(static_cast<float>(MuonMomentum(s.muon, steps[i])));
      qat_on.push_back(on);
      // The script leaves it at its hardest where soft rounding is off.
      sharpness.push_back(static_cast<float>(
          s.late_qat.soft ? SoftRoundSharpness(s.late_qat, factor) : kHardestRounding));
    }
    c.Expect(name + "/scale", scale);
    c.Expect(name + "/muon_momentum", momentum);
    c.ExpectInts(name + "/qat_on", qat_on);
    if (c.Has(name + "/soft_round_alpha")) c.Expect(name + "/soft_round_alpha", sharpness);
  }
}

}  // namespace golf::test
