// Score-first test-time training: scores, losses and bits per byte of each chunk, every update's loss, learning rate and
// gradient norm, and the parameters after training.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/golden/scoring_case.h"

namespace golf::test {
namespace {

// Also what training did, and the weights after each chunk.
struct TrainRecorder : ScoreRecorder {
  std::vector<float> loss, lr, gradient_norm;
  std::vector<int32_t> updates_before;  // per chunk
  std::vector<TensorSet> after;         // per chunk

  Status Scored(const ScoredWindow& scored) override {
    if (updates_before.size() == scored.chunk)
      updates_before.push_back(static_cast<int32_t>(loss.size()));
    return ScoreRecorder::Scored(scored);
  }
  Status Trained(const TrainedChunk& trained) override {
    for (const TrainUpdate& update : trained.updates) {
      loss.push_back(static_cast<float>(update.loss_nats));
      lr.push_back(static_cast<float>(trained.step.lr));
      gradient_norm.push_back(static_cast<float>(update.gradient_norm));
    }
    Keep(trained.weights);
    return {};
  }
  void Keep(const TensorSet& now) {
    after.push_back(now.SameLayout());
    after.back().CopyFrom(now);
  }
};

TttOptions OptionsOf(const GoldenCase& c) {
  const nlohmann::json& args = c.run().at("args");
  TttOptions options;
  options.optimizer = args.at("ttt_optimizer") == "sgd" ? TttOptions::Optimizer::kSgd
                                                        : TttOptions::Optimizer::kAdamW;
  options.schedule = c.pr == 668 || c.pr == 1232 ? TttOptions::Schedule::kWarmupCosine
                                                 : TttOptions::Schedule::kCosine;
  options.lr = args.at("ttt_lr");
  options.momentum = args.value("ttt_momentum", options.momentum);
  options.weight_decay =
      options.optimizer == TttOptions::Optimizer::kAdamW ? args.value("ttt_adam_wd", 0.0) : 0.0;
  options.clip_norm = args.value("ttt_grad_clip", 1.0);
  options.epochs = args.at("ttt_epochs");
  options.chunk_tokens = args.at("ttt_chunk_tokens");
  options.batch_sequences =
      args.contains("ttt_batch_seqs") ? args.at("ttt_batch_seqs") : args.at("batch_seqs");
  const uint32_t layers = c.config().at("num_layers"),
                 blocks = std::min(args.at("ttt_freeze_blocks").get<uint32_t>(), layers);
  // In PR 1004 it counts the last blocks, the ones that are trained.
  options.trainable = c.pr == 1004 ? ScalesAndLastBlocks(blocks) : FreezeFirstBlocks(blocks);
  if (c.run().at("late_qat_was_on").get<bool>()) options.fake_quant = FakeQuant{};
  return options;
}

void ExpectChunks(const GoldenCase& c, const std::vector<ScoreSums>& chunks) {
  ScoreSums running;
  for (size_t i = 0; i < chunks.size(); ++i) {
    const std::string name = fmt::format("chunk/{}/", i);
    running.nll_nats += chunks[i].nll_nats;
    running.bytes += chunks[i].bytes;
    c.ExpectScalar(name + "loss", chunks[i].loss_nats());
    c.ExpectScalar(name + "bpb", chunks[i].bits_per_byte());
    c.ExpectScalar(name + "running_bpb", running.bits_per_byte());
    c.ExpectScalar(name + "tokens", static_cast<double>(chunks[i].targets));
    c.ExpectScalar(name + "bytes", static_cast<double>(chunks[i].bytes));
  }
}

// Sum, sum of magnitudes and L2 norm of every parameter after each chunk.
void ExpectStatistics(const GoldenCase& c, const std::vector<TensorSet>& after) {
  std::vector<float> stats;
  for (const TensorSet& weights : after) {
    for (const auto& name : c.info().at("param_order")) {
      double sum = 0, magnitudes = 0, squares = 0;
      for (float w : weights[weights.Find(name.get<std::string>())]) {
        const auto x = static_cast<double>(w);
        sum += x;
        magnitudes += std::abs(x);
        squares += x * x;
      }
      for (double x : {sum, magnitudes, std::sqrt(squares)}) stats.push_back(static_cast<float>(x));
    }
  }
  c.Expect("stats", stats);
}

}  // namespace

void TttGolden(const GoldenCase& c) {
  ScoringCase s(c);
  const TttOptions options = OptionsOf(c);
  const WindowRule rule{s.window, c.run().at("stride"), Tail::kRepeat};
  const auto windows = *MakeWindows(rule, s.stream.targets());
  const auto steps = ScoreFirst(windows, s.stream.targets(), s.window, options);
  const size_t batch = c.run().value("batch_seqs", size_t{32});
  WindowScorer scorer(s.Factory(), {rule, batch, Precision::kFp32});
  auto trainer =
      TttTrainer::Create(*s.kernels, s.Factory(), s.weights, options, s.window, Precision::kFp32);
  ASSERT_TRUE(trainer.ok()) << trainer.status().message();
  EXPECT_EQ(trainer->TrainedNames(), c.info().at("trained_params").get<std::vector<std::string>>());

  TrainRecorder recorder;
  EvalObserver* observers[] = {&recorder};
  const auto sums =
      Evaluate({s.stream, s.byte_table, windows, steps}, scorer, &*trainer, observers);
  ASSERT_TRUE(sums.ok()) << sums.status().message();
  recorder.Keep(s.weights);  // after the last chunk

  c.ExpectScalar("val_loss", sums->loss_nats());
  c.ExpectScalar("val_bpb", sums->bits_per_byte());
  c.Expect("nll", recorder.nll);
  c.ExpectInts("position", recorder.position);
  c.ExpectInts("chunk_of", recorder.chunk_of);
  c.ExpectInts("windows", recorder.windows);
  c.Expect("train_loss", recorder.loss);
  c.Expect("train_lr", recorder.lr);
  c.Expect("train_grad_norm", recorder.gradient_norm);
  c.ExpectInts("train_steps_before_chunk", recorder.updates_before);
  ExpectChunks(c, recorder.chunks);
  ExpectStatistics(c, recorder.after);
  for (size_t chunk = 0; chunk < recorder.after.size(); ++chunk) {
    const std::string prefix = fmt::format("after_chunk{}/", chunk);
    for (const std::string& name : c.Names(prefix, "output")) {
      const TensorSet& weights = recorder.after[chunk];
      c.Expect(name, weights[weights.Find(name.substr(prefix.size()))]);
    }
  }
}

}  // namespace golf::test
