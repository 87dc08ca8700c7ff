#include "trainer/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schemas/program_generated.h"
#include "tests/trainer/tiny.h"
#include "trainer/initialise.h"
#include "trainer/recipe.h"
#include "trainer/weight_names.h"

namespace golf {
namespace {

class Groups : public testing::Test {
 protected:
  Groups()
      : recipe_(*ParseRecipe(test::kTinyRecipe, "tiny")),
        program_(BuildNetwork(recipe_.network)),
        layout_(*program_) {}
  WeightUpdate Of(const std::string& name) {
    const auto updates = AssignUpdates(layout_, recipe_.train);
    EXPECT_TRUE(updates.ok()) << updates.status().message();
    return (*updates)[layout_.Find(name)];
  }
  Recipe recipe_;
  std::unique_ptr<schema::ProgramT> program_;
  TensorSet layout_;
};

TEST_F(Groups, TheFirstMatchingPatternWins) {
  EXPECT_EQ(Of("tok_emb.weight").group, "token");
  EXPECT_EQ(Of("blocks.0.attn.c_q.weight").group, "matrix");
  EXPECT_EQ(Of("blocks.0.attn.c_q.weight").rule, UpdateRule::kMuon);
  EXPECT_EQ(Of("blocks.0.attn_scale").group, "rest");
  EXPECT_EQ(Of("bigram_emb.scale").group, "rest");
}

TEST_F(Groups, DecoderBlocksMultiplyTheRate) {
  EXPECT_EQ(Of("blocks.0.mlp.up_proj.weight").lr, 0.02);
  EXPECT_EQ(Of("blocks.1.mlp.up_proj.weight").lr, 0.04);
  EXPECT_EQ(Of("blocks.1.mlp.up_proj.weight").weight_decay, 0.04);
  EXPECT_EQ(Of("skip_weights").lr, 0.02);
}

TEST_F(Groups, AWeightWithoutGroupIsNamed) {
  recipe_.train.groups.pop_back();
  const auto updates = AssignUpdates(layout_, recipe_.train);
  ASSERT_FALSE(updates.ok());
  EXPECT_THAT(updates.status().message(), testing::HasSubstr("'skip_weights'"));
}

TEST_F(Groups, MuonRefusesVectors) {
  recipe_.train.groups.back().rule = UpdateRule::kMuon;
  const auto updates = AssignUpdates(layout_, recipe_.train);
  ASSERT_FALSE(updates.ok());
  EXPECT_EQ(updates.status().code(), Code::kUsage);
}

TEST_F(Groups, StaleWeightsAreTakenOutOfTheirGroup) {
  recipe_.train.reference.stale_gradients = {"bigram_emb.scale"};
  EXPECT_TRUE(Of("bigram_emb.scale").stale_gradient);
  EXPECT_EQ(Of("bigram_emb.scale").rule, UpdateRule::kNone);
}

TEST_F(Groups, MomentsExistWhereTheRuleNeedsThem) {
  const Optimizer optimizer(test::Kernels(), layout_, recipe_.train,
                            *AssignUpdates(layout_, recipe_.train), Element::kFloat);
  EXPECT_EQ(optimizer.Slot(0).size(), layout_.count());
  for (const TensorView& view : optimizer.Slot(1)) {
    EXPECT_EQ(Of(std::string(view.name)).rule, UpdateRule::kAdamW) << view.name;
  }
}

TEST_F(Groups, LoadRefusesForeignAndMissingMoments) {
  Optimizer optimizer(test::Kernels(), layout_, recipe_.train,
                      *AssignUpdates(layout_, recipe_.train), Element::kFloat);
  std::vector<TensorView> views = optimizer.Slot(1);
  EXPECT_TRUE(optimizer.LoadSlot(1, views).ok());
  views.pop_back();
  EXPECT_THAT(optimizer.LoadSlot(1, views).message(), testing::HasSubstr("missing"));
  views = optimizer.Slot(0);
  EXPECT_THAT(optimizer.LoadSlot(1, views).message(), testing::HasSubstr("does not belong"));
}

TEST(WeightNames, BlockOfReadsTheIndex) {
  EXPECT_EQ(BlockOf("blocks.0.attn_scale"), 0);
  EXPECT_EQ(BlockOf("blocks.10.attn.c_q.weight"), 10);
  EXPECT_EQ(BlockOf("blocks.x"), -1);
  EXPECT_EQ(BlockOf("blocks.3"), -1);
  EXPECT_EQ(BlockOf("tok_emb.weight"), -1);
}

}  // namespace
}  // namespace golf
