// The first 60 steps of a network that a reference trained, from its initial weights on its tokens. The folder is
// $GOLF_TRAINED, or ../shared/trained beside the source tree; without it the test is skipped.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "artifact/safetensors.h"
#include "kernels/table.h"
#include "schemas/program_generated.h"
#include "tests/support/network_config.h"
#include "trainer/recipe.h"
#include "trainer/trainer.h"
#include "trainer/training_stream.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

fs::path TrainedFolder() {
  const char* folder = std::getenv("GOLF_TRAINED");
  return folder != nullptr ? fs::path(folder) : fs::path(GOLF_SOURCE_DIR) / "../shared/trained";
}

// PR 598's groups with the run's own schedule and batch.
TrainSettings Settings(const nlohmann::json& run) {
  TrainSettings s = LoadRecipe("pr598")->train;
  const nlohmann::json& settings = run.at("settings");
  const uint64_t windows = run.at("batch_seqs"), window = run.at("seq_len");
  s.batch = {windows * window, 1, static_cast<uint32_t>(windows)};
  s.schedule.iterations = settings.at("iterations");
  s.schedule.warmdown_iters = settings.at("warmdown_iters");
  s.schedule.max_wallclock_seconds = settings.at("max_wallclock_seconds");
  s.late_qat.enabled = settings.at("late_qat");
  s.grad_clip_norm = settings.at("grad_clip_norm");
  s.muon.momentum_warmup_steps = settings.at("muon_momentum_warmup_steps");
  s.reference.stale_gradients = {"bigram_emb.scale"};
  s.first_decoder_block = run.at("config").at("num_layers").get<uint32_t>() / 2;
  return s;
}

// The largest relative difference of the 2-norms, and its tensor.
void ReportNorms(const char* what, const nlohmann::json& expected, const TensorSet& set) {
  double worst = 0;
  std::string where;
  for (const auto& [name, stats] : expected.items()) {
    double squares = 0;
    for (const float x : set[set.Find(name)]) squares += double{x} * x;
    const double want = stats.at(2).get<double>();
    const double off = std::abs(std::sqrt(squares) - want) / std::max(want, 1e-9);
    if (off >= worst) worst = off, where = name;
  }
  fmt::print("{}: largest relative difference of a tensor's 2-norm {:.2e} ({})\n", what, worst,
             where);
  EXPECT_LT(worst, 0.1) << where;
}

TEST(TrainedStart, FollowsTheReferenceForSixtySteps) {
  const fs::path folder = TrainedFolder();
  std::ifstream json(folder / "train_start.json");
  if (!json) GTEST_SKIP() << "no " << (folder / "train_start.json").string();
  const nlohmann::json run = nlohmann::json::parse(json);
  const TrainSettings settings = Settings(run);
  const auto program =
      BuildNetwork(test::NetworkConfigFromManifest(run.at("config"), run.at("seq_len")));
  TensorSet weights(*program);
  const Result<TensorFile> init = ReadSafetensors((folder / "init.safetensors").string());
  ASSERT_TRUE(init.ok()) << init.status().message();
  const Status loaded = weights.Load(init->views());
  ASSERT_TRUE(loaded.ok()) << loaded.message();
  const std::vector<std::string> shards = {(folder / "train_start_sp1024.bin").string()};
  const Result<TrainingStream> stream = TrainingStream::Open(shards, program->vocab_size);
  ASSERT_TRUE(stream.ok()) << stream.status().message();

  const Result<const KernelTable*> kernels = CpuKernels();
  ASSERT_TRUE(kernels.ok());
  auto trainer =
      Trainer::Create(**kernels, *program, std::move(weights), settings, Precision::kFp32);
  ASSERT_TRUE(trainer.ok()) << trainer.status().message();
  const auto start = std::chrono::steady_clock::now();
  const size_t n = settings.batch.tokens;
  std::vector<int32_t> ids(n), targets(n);
  double worst_early = 0, worst = 0;
  for (size_t step = 0; step < run.at("steps"); ++step) {
    ASSERT_TRUE(stream->ReadSpan(step * (n + 1), ids, targets).ok());
    const Result<StepReport> report = (*trainer)->Step(ids, targets, 0);
    ASSERT_TRUE(report.ok()) << report.status().message();
    const double want = run.at("train_loss").at(step);
    const double off = std::abs(report->loss_nats - want) / want;
    (step < 10 ? worst_early : worst) = std::max(step < 10 ? worst_early : worst, off);
    EXPECT_LT(off, step < 10 ? 1e-4 : 1e-2)
        << "step " << step << ": " << report->loss_nats << ", reference " << want;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print(
      "training losses: largest relative difference {:.2e} in steps 0-9, {:.2e} after; {:.1f} s\n",
      worst_early, worst, seconds.count());
  ReportNorms("weights", run.at("params_after"), (*trainer)->weights());
  ReportNorms("average", run.at("ema_after"), (*trainer)->averaged());
}

}  // namespace
}  // namespace golf
