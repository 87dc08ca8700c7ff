#include "trainer/evaluate_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "artifact/safetensors.h"
#include "tests/trainer/tiny.h"
#include "trainer/training_run.h"

namespace golf {
namespace {

using testing::HasSubstr;

class Evaluate : public testing::Test, public TrainingObserver {
 protected:
  void SetUp() override {
    folder_ = test::TestFolder();
    recipe_ = folder_ + "/tiny.toml";
    std::ofstream(recipe_) << test::kTinyRecipe;
    ASSERT_TRUE(WriteTokenShard(folder_ + "/train.bin", test::TinyTokens(20 * 33, 1)).ok());
    ASSERT_TRUE(WriteTokenShard(folder_ + "/val.bin", test::TinyTokens(200, 2)).ok());
    TrainingOptions options;
    options.recipe = recipe_;
    options.overrides = {"swa.every=2", "swa.below=0.9"};
    options.data = {folder_ + "/train.bin"};
    options.validation = {folder_ + "/val.bin"};
    options.out = folder_ + "/out";
    options.export_path = folder_ + "/ema.safetensors";
    auto run = TrainingRun::Prepare(test::Kernels(), options, *this);
    ASSERT_TRUE(run.ok()) << run.status().message();
    ASSERT_TRUE((*run)->Run().ok());
  }
  void Validated(uint64_t, const char* weights, const ValidationResult& result) override {
    losses_[weights] = result.loss_nats;
  }
  void Saved(uint64_t, const std::string& path) override { options_.path = path; }
  Result<EvaluatedWeights> Run() {
    options_.validation = {folder_ + "/val.bin"};
    return EvaluateWeights(test::Kernels(), options_, [] { return true; });
  }

  std::string folder_, recipe_;
  std::map<std::string, double> losses_;  // of the run's last validation
  EvaluationOptions options_;
};

TEST_F(Evaluate, GivesTheLossesThatTrainingEndedWith) {
  EXPECT_EQ(Run()->result.loss_nats, losses_.at("ema"));
  for (const char* weights : {"raw", "ema", "swa"}) {
    options_.weights = weights;
    const auto evaluated = Run();
    ASSERT_TRUE(evaluated.ok()) << evaluated.status().message();
    EXPECT_EQ(evaluated->weights, weights);
    EXPECT_EQ(evaluated->result.loss_nats, losses_.at(weights));
  }
  options_ = {};
  options_.path = folder_ + "/ema.safetensors";
  options_.recipe = recipe_;
  EXPECT_EQ(Run()->result.loss_nats, losses_.at("ema"));
}

TEST_F(Evaluate, RefusesTextThatTheWeightsWereTrainedOn) {
  std::filesystem::copy_file(folder_ + "/train.bin", folder_ + "/copy.bin");
  options_.validation = {folder_ + "/copy.bin"};
  const auto seen = EvaluateWeights(test::Kernels(), options_, [] { return true; });
  EXPECT_EQ(seen.status().code(), Code::kBadData);
  EXPECT_THAT(seen.status().message(), HasSubstr("copy.bin: the same text as train.bin"));
}

TEST_F(Evaluate, RefusesACheckpointOfAnotherNetwork) {
  options_.recipe = recipe_;
  options_.overrides = {"network.mlp_negative_slope=0.5"};  // the same weights, another function
  EXPECT_EQ(Run().status().code(), Code::kUsage);
  EXPECT_THAT(Run().status().message(), HasSubstr("another network"));
  options_.overrides.clear();
  EXPECT_TRUE(Run().ok());
}

TEST_F(Evaluate, RefusesWeightsThatDoNotMatchExactly) {
  options_.path = folder_ + "/ema.safetensors";
  EXPECT_THAT(Run().status().message(), HasSubstr("--recipe"));
  options_.recipe = recipe_;
  const TensorFile file = *ReadSafetensors(options_.path);
  std::vector<TensorView> views = file.views();
  const TensorView last = views.back();
  views.pop_back();
  ASSERT_TRUE(WriteSafetensors(options_.path, views).ok());
  EXPECT_EQ(Run().status().code(), Code::kBadData);
  EXPECT_THAT(Run().status().message(), HasSubstr(std::string(last.name)));
  views.push_back(last);
  views.push_back({"one_too_many", last.shape, last.data});
  ASSERT_TRUE(WriteSafetensors(options_.path, views).ok());
  EXPECT_THAT(Run().status().message(), HasSubstr("one_too_many"));
}

TEST_F(Evaluate, NamesTheGroupThatIsNotThere) {
  options_.path = folder_ + "/out/step-00000012.ckpt";
  options_.weights = "average";
  EXPECT_THAT(Run().status().message(), HasSubstr("no average weights"));
}

}  // namespace
}  // namespace golf
