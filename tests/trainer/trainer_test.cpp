#include "trainer/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "kernels/base/bf16.h"
#include "schemas/program_generated.h"
#include "tests/support/thread_group.h"
#include "tests/trainer/tiny.h"
#include "trainer/initialise.h"
#include "trainer/recipe.h"
#include "trainer/training_stream.h"

namespace golf {
namespace {

class TinyTrainer : public testing::Test {
 protected:
  TinyTrainer()
      : recipe_(*ParseRecipe(test::kTinyRecipe, "tiny")),
        program_(BuildNetwork(recipe_.network)),
        tokens_(test::TinyTokens(20 * 33, 1)) {}

  std::unique_ptr<Trainer> Make(ProcessGroup& group = OneProcess()) {
    return MakeFrom(InitialWeights(recipe_.network, *program_, recipe_.seed), group);
  }
  std::unique_ptr<Trainer> MakeFrom(TensorSet weights, ProcessGroup& group = OneProcess()) {
    auto trainer = Trainer::Create(test::Kernels(), *program_, std::move(weights), recipe_.train,
                                   recipe_.precision, group);
    EXPECT_TRUE(trainer.ok()) << trainer.status().message();
    return std::move(*trainer);
  }
  Result<StepReport> Step(Trainer& trainer, const Trainer::Proceed& proceed = {}) {
    const size_t at = trainer.step() * 33;
    std::vector<int32_t> ids(tokens_.begin() + at, tokens_.begin() + at + 32);
    std::vector<int32_t> targets(tokens_.begin() + at + 1, tokens_.begin() + at + 33);
    return trainer.Step(ids, targets, 0, proceed);
  }
  static void ExpectSame(const Trainer& a, const Trainer& b) {
    EXPECT_EQ(a.step(), b.step());
    EXPECT_TRUE(std::ranges::equal(a.weights().all(), b.weights().all()));
    EXPECT_TRUE(std::ranges::equal(a.averaged().all(), b.averaged().all()));
    ASSERT_EQ(a.swa().count(), b.swa().count());
    EXPECT_TRUE(a.swa().count() == 0 || std::ranges::equal(a.swa().all(), b.swa().all()));
    for (size_t slot = 0; slot < 2; ++slot) {
      const auto x = a.optimizer().Slot(slot), y = b.optimizer().Slot(slot);
      ASSERT_EQ(x.size(), y.size());
      for (size_t i = 0; i < x.size(); ++i)
        EXPECT_TRUE(std::ranges::equal(x[i].data, y[i].data)) << x[i].name;
    }
  }

  Recipe recipe_;
  std::unique_ptr<schema::ProgramT> program_;
  std::vector<uint16_t> tokens_;
};

TEST_F(TinyTrainer, LearnsTheText) {
  const auto trainer = Make();
  const double first = Step(*trainer)->loss_nats;
  double last = 0;
  for (int i = 0; i < 11; ++i) last = Step(*trainer)->loss_nats;
  EXPECT_NEAR(first, std::log(32.0), 0.1);
  EXPECT_LT(last, first - 0.2);
}

TEST_F(TinyTrainer, SameStartSameBits) {
  const auto a = Make(), b = Make();
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(Step(*a)->loss_nats, Step(*b)->loss_nats);
  }
  ExpectSame(*a, *b);
}

TEST_F(TinyTrainer, StateCarriesEverything) {
  recipe_.train.reference.stale_gradients = {"bigram_emb.scale"};
  recipe_.train.swa = {2, 0.9, SwaSettings::Source::kRaw};
  recipe_.train.groups[0].bf16 = true;
  for (const int stop : {0, 1, 5, 9, 11}) {  // late QAT begins after step 8
    const auto unbroken = Make(), before = Make(), after = Make();
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(Step(*unbroken).ok());
    for (int i = 0; i < stop; ++i) ASSERT_TRUE(Step(*before).ok());
    ASSERT_TRUE(after->Load(before->state()).ok());
    for (int i = stop; i < 12; ++i) ASSERT_TRUE(Step(*after).ok());
    ExpectSame(*unbroken, *after);
  }
}

TEST_F(TinyTrainer, AnAbandonedStepLeavesNoTrace) {
  recipe_.train.reference.stale_gradients = {"bigram_emb.scale"};
  const auto plain = Make(), abandoned = Make();
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(Step(*plain).ok());
    const Result<StepReport> report = Step(*abandoned, [](size_t windows) { return windows < 2; });
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.status().code(), Code::kInterrupted);
    ASSERT_TRUE(Step(*abandoned).ok());
  }
  ExpectSame(*plain, *abandoned);
}

TEST_F(TinyTrainer, LateQatActsUnlessDead) {
  recipe_.train.schedule.iterations = recipe_.train.schedule.warmdown_iters =
      4;  // below 0.5 in the last step
  const auto acting = Make();
  recipe_.train.reference.dead_late_qat = true;
  const auto dead = Make();
  for (int i = 0; i < 3; ++i) {
    const auto a = Step(*acting), d = Step(*dead);
    EXPECT_EQ(a->loss_nats, d->loss_nats);
    EXPECT_FALSE(a->late_qat);
  }
  const auto a = Step(*acting), d = Step(*dead);
  EXPECT_TRUE(a->late_qat && d->late_qat);
  EXPECT_NE(a->loss_nats, d->loss_nats);
}

TEST_F(TinyTrainer, FocalLossTrainsOtherwiseAndReportsTheSame) {
  const auto plain = Make();
  recipe_.train.focal_gamma = 2;
  const auto focal = Make();
  const auto a = Step(*plain), b = Step(*focal);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->loss_nats, b->loss_nats);
  EXPECT_NE(a->grad_norm, b->grad_norm);
  EXPECT_NE(Step(*plain)->loss_nats, Step(*focal)->loss_nats);
}

TEST_F(TinyTrainer, SoftRoundingActsAndIsNotStraightThrough) {
  recipe_.train.late_qat.threshold = 2;  // from the start
  const auto nearest = Make();
  recipe_.train.late_qat.soft = true;
  const auto soft = Make();
  ASSERT_TRUE(Step(*nearest).ok() && Step(*soft).ok());  // the output projections leave zero
  const auto a = Step(*nearest), b = Step(*soft);
  EXPECT_TRUE(a->late_qat && b->late_qat);
  EXPECT_NE(a->loss_nats, b->loss_nats);
  EXPECT_NE(a->grad_norm, b->grad_norm);
}

TEST_F(TinyTrainer, Bf16GroupsKeepBfloat16) {
  recipe_.train.groups[0].bf16 = true;
  const auto trainer = Make();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Step(*trainer).ok());
  const auto is_bf16 = [](std::span<const float> values) {
    return std::ranges::all_of(values, [](float x) { return ToFloat(FromFloat<bf16>(x)) == x; });
  };
  const TensorSet& weights = trainer->weights();
  EXPECT_TRUE(is_bf16(weights[weights.Find("tok_emb.weight")]));
  EXPECT_FALSE(is_bf16(weights[weights.Find("bigram_emb.embed.weight")]));
  for (size_t slot = 0; slot < 2; ++slot) {
    for (const TensorView& moment : trainer->optimizer().Slot(slot)) {
      EXPECT_TRUE(moment.name != "tok_emb.weight" || is_bf16(moment.data)) << slot;
    }
  }
}

TEST_F(TinyTrainer, SwaIsTheMeanOfItsSnapshots) {
  recipe_.train.swa = {2, 0.9, SwaSettings::Source::kRaw};
  const auto trainer = Make();
  std::vector<double> sum(trainer->weights().all().size());
  int snapshots = 0;
  for (int i = 0; i < 12; ++i) {
    const Result<StepReport> report = Step(*trainer);
    ASSERT_TRUE(report.ok());
    if (report->lr_factor >= 0.9 || trainer->step() % 2 != 0) continue;
    ++snapshots;
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += trainer->weights().all()[k];
  }
  ASSERT_GE(snapshots, 3);
  EXPECT_EQ(trainer->state().swa_snapshots, static_cast<uint64_t>(snapshots));
  for (size_t k = 0; k < sum.size(); ++k)
    ASSERT_NEAR(trainer->swa().all()[k], sum[k] / snapshots, 1e-6);
}

TEST_F(TinyTrainer, AnUnreadWeightStaysDespiteItsGroupsDecay) {
  recipe_.network.value_residual = true;
  recipe_.train.groups[2].weight_decay = 0.5;
  program_ = BuildNetwork(recipe_.network);
  const auto trainer = Make();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Step(*trainer).ok());
  const auto lambda = [&](const char* name) {
    return trainer->weights()[trainer->weights().Find(name)][0];
  };
  EXPECT_EQ(lambda("blocks.0.attn.vr_lambda"), 0.5F);
  EXPECT_NE(lambda("blocks.1.attn.vr_lambda"), 0.5F);
}

TEST_F(TinyTrainer, StaleGradientsStayAndWeigh) {
  const auto trained = Make();
  recipe_.train.reference.stale_gradients = {"bigram_emb.scale"};
  const auto stale = Make();
  const size_t scale = stale->weights().Find("bigram_emb.scale");
  const float before = stale->weights()[scale][0];
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Step(*stale).ok() && Step(*trained).ok());
  EXPECT_EQ(stale->weights()[scale][0], before);
  EXPECT_NE(trained->weights()[scale][0], before);
  EXPECT_EQ(stale->state().stale_gradients.size(), 1U);
  EXPECT_NE(stale->state().stale_gradients[0].data[0], 0);
}

TEST_F(TinyTrainer, FrozenGroupsDoNotMove) {
  recipe_.train.groups[1].rule = UpdateRule::kNone;
  const auto trainer = Make();
  const TensorSet start = InitialWeights(recipe_.network, *program_, recipe_.seed);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Step(*trainer).ok());
  const size_t frozen = start.Find("blocks.0.attn.c_q.weight"),
               moved = start.Find("tok_emb.weight");
  EXPECT_TRUE(std::ranges::equal(trainer->weights()[frozen], start[frozen]));
  EXPECT_FALSE(std::ranges::equal(trainer->weights()[moved], start[moved]));
}

TEST_F(TinyTrainer, MicroBatchesChangeRoundingOnly) {
  const auto one = Make();
  recipe_.train.batch.micro_windows = 2;
  const auto two = Make();
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(Step(*one)->loss_nats, Step(*two)->loss_nats, 1e-4);
}

// 4 micro-batches; of 5 processes one has none. Only the order of sums differs from one process, and no process from another.
TEST_F(TinyTrainer, ProcessesThatShareTheMicroBatchesTrainAsOneDoes) {
  recipe_.train.reference.stale_gradients = {"bigram_emb.scale"};
  const auto one = Make();
  std::vector<StepReport> expected(12);
  for (StepReport& report : expected) report = *Step(*one);
  for (const size_t processes : {2, 3, 5}) {
    std::vector<std::unique_ptr<Trainer>> first(processes), second(processes);
    for (auto* trainers : {&first, &second}) {
      test::InThreads(processes, [&](ProcessGroup& group) {
        auto& trainer = (*trainers)[group.rank()] = Make(group);
        for (const StepReport& want : expected) {
          const auto report = Step(*trainer);
          ASSERT_TRUE(report.ok()) << report.status().message();
          EXPECT_NEAR(report->loss_nats, want.loss_nats, 1e-6);
          EXPECT_NEAR(report->grad_norm, want.grad_norm, 1e-4 * want.grad_norm);
        }
      });
    }
    for (const auto& trainer : first) ExpectSame(*first[0], *trainer);
    ExpectSame(*first[0], *second[0]);
  }
}

TEST_F(TinyTrainer, OneProcessThatStopsAbandonsTheStepOfAll) {
  const auto untouched = Make();
  test::InThreads(3, [&](ProcessGroup& group) {
    const auto trainer = Make(group);
    const auto stopped = Step(*trainer, [&](size_t) { return group.rank() != 1; });
    EXPECT_EQ(stopped.status().code(), Code::kInterrupted);
    ExpectSame(*untouched, *trainer);
    EXPECT_TRUE(Step(*trainer).ok());  // nothing failed
  });
}

TEST_F(TinyTrainer, ABadNumberOfOneProcessIsThatOfAll) {
  TensorSet weights = InitialWeights(recipe_.network, *program_, recipe_.seed);
  test::InThreads(2, [&](ProcessGroup& group) {
    TensorSet mine = weights.SameLayout();
    mine.CopyFrom(weights);
    if (group.rank() == 1) mine[0][0] = std::numeric_limits<float>::quiet_NaN();
    const auto trainer = MakeFrom(std::move(mine), group);
    std::vector<int32_t> ids(32, 0), targets(32, 1);
    const auto report = trainer->Step(ids, targets, 0);
    EXPECT_EQ(report.status().code(), Code::kBadNumbers);
    EXPECT_THAT(report.status().message(), testing::HasSubstr("the loss of micro-batch 3 of 4"));
  });
}

TEST_F(TinyTrainer, ABadNumberNamesStepAndTensorAndChangesNothing) {
  TensorSet weights = InitialWeights(recipe_.network, *program_, recipe_.seed);
  weights[weights.Find("blocks.1.mlp.bias")][0] = std::numeric_limits<float>::infinity();
  weights[weights.Find("blocks.1.mlp.down_proj.weight")][0] = 1;
  const auto trainer = MakeFrom(std::move(weights));
  const Result<StepReport> report = Step(*trainer);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), Code::kBadNumbers);
  EXPECT_THAT(report.status().message(), testing::HasSubstr("step 0"));
  EXPECT_EQ(trainer->step(), 0U);
  EXPECT_EQ(trainer->optimizer().steps(), 0U);
  trainer->SkipStep();
  EXPECT_EQ(trainer->step(), 1U);
}

}  // namespace
}  // namespace golf
