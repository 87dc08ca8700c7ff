// Training steps by a reference's own loop: micro-batches, schedule, clip, optimizer groups, average, late QAT.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/table.h"
#include "runtime/weights.h"
#include "schemas/program_generated.h"
#include "tests/golden/kinds.h"
#include "tests/support/network_config.h"
#include "trainer/trainer.h"

namespace golf::test {
namespace {

TrainSettings SettingsOf(const GoldenCase& c, const std::vector<size_t>& x_shape) {
  const nlohmann::json& s = c.info().at("settings");
  TrainSettings settings;
  settings.batch.tokens = x_shape[1] * x_shape[2] * x_shape[3];
  settings.batch.slices = static_cast<uint32_t>(x_shape[1]);
  settings.batch.micro_windows = static_cast<uint32_t>(x_shape[2]);
  settings.schedule.iterations = s.at("iterations");
  settings.schedule.warmdown_iters = s.at("warmdown_iters");
  settings.schedule.max_wallclock_seconds = s.at("max_wallclock_seconds");
  settings.muon.momentum = s.at("muon_momentum");
  settings.muon.momentum_warmup_start = s.at("muon_momentum_warmup_start");
  settings.muon.momentum_warmup_steps = s.at("muon_momentum_warmup_steps");
  settings.muon.backend_steps = s.at("muon_backend_steps");
  settings.adamw = {s.at("beta1"), s.at("beta2"), s.at("adam_eps")};
  settings.grad_clip_norm = s.at("grad_clip_norm");
  settings.ema_decay = s.at("ema_decay");
  LateQatSettings& qat = settings.late_qat;
  qat.enabled = s.value("late_qat", c.pr == 1004);  // PR 1004 has no switch
  qat.threshold = s.value("qat_threshold", s.value("late_qat_threshold", qat.threshold));
  qat.soft = s.value("soft_round_qat", false);
  if (c.pr == 1004) qat.levels = {15, -16, 15, 0.9995F};
  for (const nlohmann::json& group : c.info().at("param_groups")) {
    OptimizerGroup& g = settings.groups.emplace_back();
    g.name = std::to_string(settings.groups.size());
    g.rule = group.at("optimizer") == "Muon" ? UpdateRule::kMuon : UpdateRule::kAdamW;
    g.lr = group.at("base_lr");
    g.weight_decay = group.at("weight_decay");
    group.at("params").get_to(g.weights);
  }
  c.info().at("grads_never_zeroed").get_to(settings.reference.stale_gradients);
  return settings;
}

TensorSet ParamsOf(const GoldenCase& c, const schema::ProgramT& program) {
  TensorSet weights(program);
  for (size_t i = 0; i < weights.count(); ++i) {
    const std::vector<float> values = c.Get("params/" + weights.name(i)).f32();
    EXPECT_EQ(values.size(), weights[i].size()) << weights.name(i);
    std::copy_n(values.begin(), std::min(values.size(), weights[i].size()), weights[i].begin());
  }
  return weights;
}

// Sum, sum of magnitudes and 2-norm per parameter, in the manifest's order.
void AppendStats(const GoldenCase& c, const TensorSet& set, std::vector<float>& stats) {
  for (const std::string name : c.info().at("param_order")) {
    double sum = 0, magnitudes = 0, squares = 0;
    for (const float x : set[set.Find(name)]) {
      sum += x;
      magnitudes += std::abs(x);
      squares += double{x} * x;
    }
    for (const double value : {sum, magnitudes, std::sqrt(squares)}) {
      stats.push_back(static_cast<float>(value));
    }
  }
}

void ExpectSet(const GoldenCase& c, const std::string& prefix, const TensorSet& set) {
  for (const std::string& name : c.Names(prefix + "/")) {
    c.Expect(name, set[set.Find(name.substr(prefix.size() + 1))]);
  }
}

void ExpectScalarIfAny(const GoldenCase& c, const std::string& name, double got) {
  if (c.HasScalar(name)) c.ExpectScalar(name, got);
}

}  // namespace

// Outputs named own_bf16/ keep the reference's bfloat16 roundings; their tolerance allows for our float32.
void OptimGolden(const GoldenCase& c) {
  const GoldenTensor x = c.Get("x"), y = c.Get("y");
  const size_t steps = x.shape()[0];
  const std::vector<int32_t> ids = x.i32(), targets = y.i32();
  const TrainSettings settings = SettingsOf(c, x.shape());
  const auto program = BuildNetwork(
      NetworkConfigFromManifest(c.config(), static_cast<uint32_t>(x.shape()[3]), c.run()));

  Result<const KernelTable*> kernels = CpuKernels();
  ASSERT_TRUE(kernels.ok()) << kernels.status().message();
  auto trainer =
      Trainer::Create(**kernels, *program, ParamsOf(c, *program), settings, Precision::kFp32);
  ASSERT_TRUE(trainer.ok()) << trainer.status().message();

  const size_t n = settings.batch.tokens;
  const auto elapsed_ms = c.run().value("elapsed_ms", std::vector<double>(steps));
  std::vector<float> all_stats;
  for (size_t step = 0; step < steps; ++step) {
    const Result<StepReport> report = (*trainer)->Step(
        {ids.data() + step * n, n}, {targets.data() + step * n, n}, elapsed_ms.at(step));
    ASSERT_TRUE(report.ok()) << report.status().message();
    const std::string at = fmt::format("/{}", step);
    for (const std::string profile : {"", "own_bf16/"}) {
      ExpectScalarIfAny(c, fmt::format("{}train_loss{}", profile, at), report->loss_nats);
      ExpectScalarIfAny(c, fmt::format("{}grad_norm{}", profile, at), report->grad_norm);
    }
    ExpectScalarIfAny(c, "lr_scale" + at, report->lr_factor);
    ExpectScalarIfAny(c, "muon_momentum" + at, report->muon_momentum);
    ExpectScalarIfAny(c, "qat_enabled" + at, report->late_qat);

    const std::string done = fmt::format("{}", step + 1);
    ExpectSet(c, "after" + done, (*trainer)->weights());
    ExpectSet(c, "own_bf16/after" + done, (*trainer)->weights());
    std::vector<float> stats;
    AppendStats(c, (*trainer)->weights(), stats);
    if (c.Has("own_bf16/stats" + done)) c.Expect("own_bf16/stats" + done, stats);
    all_stats.insert(all_stats.end(), stats.begin(), stats.end());
  }
  c.Expect("stats", all_stats);
  ExpectSet(c, "ema", (*trainer)->averaged());
  std::vector<float> ema_stats;
  AppendStats(c, (*trainer)->averaged(), ema_stats);
  c.Expect("ema_stats", ema_stats);
  for (const std::string& name : settings.reference.stale_gradients) {
    const TensorSet& gradients = (*trainer)->gradients();
    ExpectScalarIfAny(c, "left_grad/" + name, gradients[gradients.Find(name)][0]);
  }
}

}  // namespace golf::test
