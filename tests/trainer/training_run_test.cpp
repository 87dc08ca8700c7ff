#include "trainer/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "artifact/hessians.h"
#include "artifact/safetensors.h"
#include "runtime/calibrate.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tests/support/thread_group.h"
#include "tests/trainer/tiny.h"

namespace golf {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Stops after a number of passes, and remembers notes.
struct Observer : TrainingObserver {
  bool Proceed(uint64_t /*targets_done*/) override { return passes_left == 0 || --passes_left > 0; }
  void Noted(const std::string& text) override { notes.push_back(text); }
  void Warned(const std::string& text) override { warnings.push_back(text); }
  void Validated(uint64_t step, const char* weights, const ValidationResult& result) override {
    validations.emplace_back(step, weights, result.loss_nats);
  }
  uint64_t passes_left = 0;  // 0: never stops
  std::vector<std::string> notes, warnings;
  std::vector<std::tuple<uint64_t, std::string, double>> validations;
};

class Run : public testing::Test {
 protected:
  Run() : folder_(test::TestFolder()) {
    EXPECT_TRUE(WriteTokenShard(folder_ + "/train.bin", test::TinyTokens(300, 1)).ok());
    EXPECT_TRUE(WriteTokenShard(folder_ + "/val.bin", test::TinyTokens(100, 2)).ok());
    std::ofstream(folder_ + "/tiny.toml") << test::kTinyRecipe;
  }
  TrainingOptions Options(const std::string& out) {
    TrainingOptions o;
    o.recipe = folder_ + "/tiny.toml";
    o.data = {folder_ + "/train.bin"};
    o.validation = {folder_ + "/val.bin"};
    o.out = folder_ + "/" + out;
    o.checkpoint_steps = 3;
    return o;
  }
  Status Train(const TrainingOptions& options) {
    observer_.notes.clear();
    observer_.warnings.clear();
    observer_.validations.clear();
    auto run = TrainingRun::Prepare(test::Kernels(), options, observer_);
    return run.ok() ? (*run)->Run() : run.status();
  }
  // The state that a run left, without its clock.
  static CheckpointContents State(const Checkpoint& checkpoint) {
    CheckpointContents contents = checkpoint.contents();
    contents.reals.clear();
    return contents;
  }
  void ExpectSameState(const std::string& a, const std::string& b) {
    const Result<Checkpoint> first = Checkpoint::Open(a), second = Checkpoint::Open(b);
    ASSERT_TRUE(first.ok()) << first.status().message();
    ASSERT_TRUE(second.ok()) << second.status().message();
    const CheckpointContents x = State(*first), y = State(*second);
    EXPECT_EQ(x.integers, y.integers);
    ASSERT_EQ(x.groups.size(), y.groups.size());
    for (size_t g = 0; g < x.groups.size(); ++g) {
      EXPECT_EQ(x.groups[g].name, y.groups[g].name);
      ASSERT_EQ(x.groups[g].tensors.size(), y.groups[g].tensors.size());
      for (size_t t = 0; t < x.groups[g].tensors.size(); ++t) {
        EXPECT_TRUE(std::ranges::equal(x.groups[g].tensors[t].data, y.groups[g].tensors[t].data))
            << x.groups[g].name << " " << x.groups[g].tensors[t].name;
      }
    }
  }
  std::string Last(const std::string& out) { return folder_ + "/" + out + "/step-00000012.ckpt"; }

  std::string folder_;
  Observer observer_;
};

TEST_F(Run, StoppingAtAnyStepAndResumingChangesNothing) {
  const std::vector<std::string> overrides = {"reference.stale_gradients=[\"bigram_emb.scale\"]",
                                              "group.token.bf16=true", "late_qat.rounding=soft",
                                              "swa.every=2", "swa.below=0.9"};
  TrainingOptions unbroken = Options("unbroken");
  unbroken.overrides = overrides;
  ASSERT_TRUE(Train(unbroken).ok());
  for (const uint64_t stop : {1, 4, 8, 9, 11}) {
    TrainingOptions broken = Options("broken" + std::to_string(stop));
    broken.overrides = overrides;
    broken.stop_after_steps = stop;
    ASSERT_TRUE(Train(broken).ok());
    broken.stop_after_steps = 0;
    broken.start = StartMode::kResume;
    broken.recipe.clear();  // the checkpoint's
    broken.overrides.clear();
    const Status resumed = Train(broken);
    ASSERT_TRUE(resumed.ok()) << resumed.message();
    ExpectSameState(Last("unbroken"), broken.out + "/step-00000012.ckpt");
  }
}

// As golf-train does it, without its printing: what the processes came to, by rank.
std::vector<Status> TrainTogether(size_t processes, const TrainingOptions& options,
                                  std::vector<Observer>& observers) {
  observers.resize(processes);
  std::vector<Status> statuses(processes);
  test::InThreads(processes, [&](ProcessGroup& group) {
    const auto train = [&]() -> Status {
      GOLF_ASSIGN(const auto run,
                  TrainingRun::Prepare(test::Kernels(), options, observers[group.rank()], group));
      return run->Run();
    };
    statuses[group.rank()] = group.Agree(train());
  });
  return statuses;
}

TEST_F(Run, ProcessesThatShareARunAgreeWithOneAndResumeInAnyNumber) {
  ASSERT_TRUE(Train(Options("one")).ok());
  const auto expected = observer_.validations;
  TrainingOptions options = Options("several");
  options.checkpoint_minutes = 1e-9;  // rank 0's clock
  options.start = StartMode::kResume;
  std::vector<Observer> observers;
  for (const auto& [processes, stop] : {std::pair(2, 4), std::pair(1, 7), std::pair(3, 0)}) {
    options.stop_after_steps = static_cast<uint64_t>(stop);
    observers.clear();
    for (const Status& status : TrainTogether(static_cast<size_t>(processes), options, observers)) {
      EXPECT_TRUE(status.ok()) << status.message();
    }
  }
  for (const Observer& observer : observers) {
    EXPECT_EQ(observer.validations, observers[0].validations);
  }
  ASSERT_GE(observers[0].validations.size(), 2U);
  for (size_t i = 1; i <= 2; ++i) {  // raw and average, after the last step
    EXPECT_NEAR(std::get<2>(*(observers[0].validations.end() - i)),
                std::get<2>(*(expected.end() - i)), 1e-6);
  }
  const Result<Checkpoint> one = Checkpoint::Open(Last("one")),
                           several = Checkpoint::Open(Last("several"));
  ASSERT_TRUE(one.ok() && several.ok());
  EXPECT_EQ(one->contents().integers, several->contents().integers);
}

TEST_F(Run, ProcessesThatShareARunAreInterruptedByAnyOfThem) {
  for (const size_t stopped : {0, 1, 2}) {
    TrainingOptions options = Options("stopped");
    options.start = StartMode::kFresh;
    options.checkpoint_steps = 0;
    std::vector<Observer> observers(3);
    observers[stopped].passes_left = 9;
    for (const Status& status : TrainTogether(3, options, observers)) {
      EXPECT_EQ(status.code(), Code::kInterrupted) << status.message();
    }
    EXPECT_TRUE(fs::exists(options.out));
    const auto saved = std::ranges::count_if(
        fs::directory_iterator(options.out),
        [](const auto& entry) { return entry.path().extension() == ".ckpt"; });
    EXPECT_EQ(saved, 1);
  }
}

TEST_F(Run, ProcessesWithoutTheSameStartDoNotTrain) {
  TrainingOptions options = Options("apart");
  const auto refused = [&](const TrainingOptions& other, const char* why) {
    test::InThreads(2, [&](ProcessGroup& group) {
      Observer observer;
      const auto run = TrainingRun::Prepare(test::Kernels(), group.rank() == 0 ? options : other,
                                            observer, group);
      EXPECT_EQ(run.status().code(), Code::kBadData);
      EXPECT_THAT(run.status().message(), HasSubstr(why));
    });
  };
  TrainingOptions other = options;
  other.overrides = {"train.seed=1"};
  refused(other, "rank 1 has another recipe than rank 0");
  other = options;
  other.validation = {folder_ + "/val2.bin"};
  ASSERT_TRUE(WriteTokenShard(other.validation[0], test::TinyTokens(100, 9)).ok());
  refused(other, "rank 1 has another validation text than rank 0");

  TrainingOptions exported = Options("exported");
  exported.export_path = folder_ + "/weights.safetensors";
  ASSERT_TRUE(Train(exported).ok());
  other = options;
  other.init = exported.export_path;
  refused(other, "rank 1 has other weights than rank 0 after 0 steps");
}

// The other machine has no such file.
TEST_F(Run, AProcessThatCannotReadEndsAll) {
  TrainingOptions options = Options("unread");
  std::vector<Status> statuses(3);
  test::InThreads(3, [&](ProcessGroup& group) {
    TrainingOptions mine = options;
    if (group.rank() == 2) mine.validation = {folder_ + "/missing.bin"};
    Observer observer;
    statuses[group.rank()] =
        group.Agree(TrainingRun::Prepare(test::Kernels(), mine, observer, group).status());
  });
  for (const Status& status : statuses) {
    EXPECT_EQ(status.code(), Code::kIo);
    EXPECT_THAT(status.message(), HasSubstr("rank 2: "));
    EXPECT_THAT(status.message(), HasSubstr("missing.bin"));
  }
}

// Rank 0 decides which, so that all read the same text.
TEST_F(Run, SkippedShardsAreSkippedByAllProcesses) {
  std::ofstream(folder_ + "/bad.bin") << "no shard";
  TrainingOptions options = Options("skipping");
  options.data = {folder_ + "/bad.bin", folder_ + "/train.bin"};
  options.skip_bad_shards = true;
  std::vector<Observer> observers;
  for (const Status& status : TrainTogether(2, options, observers)) {
    EXPECT_TRUE(status.ok()) << status.message();
  }
  ASSERT_FALSE(observers[0].notes.empty());
  EXPECT_THAT(observers[0].notes[0], HasSubstr("bad.bin"));
}

TEST_F(Run, AnInterruptSavesAndResumes) {
  ASSERT_TRUE(Train(Options("unbroken")).ok());
  TrainingOptions options = Options("interrupted");
  observer_.passes_left = 20;  // in the middle of a step
  const Status stopped = Train(options);
  EXPECT_EQ(stopped.code(), Code::kInterrupted);
  EXPECT_THAT(stopped.message(), HasSubstr("--resume"));
  observer_.passes_left = 0;
  options.start = StartMode::kResume;
  ASSERT_TRUE(Train(options).ok());
  ExpectSameState(Last("unbroken"), Last("interrupted"));
}

TEST_F(Run, HessiansAreTheOnesThatPackingWouldCollectFromTheFinalWeights) {
  TrainingOptions options = Options("calibrated");
  options.hessians = folder_ + "/h.hessians";
  options.calibration_windows = 9;
  auto run = TrainingRun::Prepare(test::Kernels(), options, observer_);
  ASSERT_TRUE(run.ok()) << run.status().message();
  ASSERT_TRUE((*run)->Run().ok());
  EXPECT_GT((*run)->train_seconds(), 0);
  const auto hessians = ReadHessians(options.hessians);
  ASSERT_TRUE(hessians.ok()) << hessians.status().message();
  EXPECT_EQ(hessians->seconds, (*run)->calibration_seconds());
  EXPECT_EQ(hessians->program, SerialiseProgram((*run)->program()));

  const std::vector<uint16_t> tokens = test::TinyTokens(300, 1);
  const size_t length = (*run)->program().window;
  std::vector<int32_t> ids;
  for (size_t i = 0; i < 9; ++i) {
    const auto from = tokens.begin() + static_cast<ptrdiff_t>(i * (length + 1));
    ids.insert(ids.end(), from, from + static_cast<ptrdiff_t>(length));
  }
  const auto expected = CollectHessians(test::Kernels(), (*run)->program(),
                                        (*run)->trainer().averaged(), ids, {length});
  ASSERT_TRUE(expected.ok());
  EXPECT_EQ(hessians->tokens, ids.size());
  ASSERT_EQ(hessians->by_weight.size(), expected->by_weight.size());
  for (const auto& [weight, matrix] : expected->by_weight)
    EXPECT_EQ(*hessians->by_weight.at(weight), *matrix) << weight;
}

TEST_F(Run, HessiansCollectedWhileTrainingDoNotDependOnStops) {
  TrainingOptions unbroken = Options("unbroken");
  unbroken.hessians = folder_ + "/unbroken.hessians";
  unbroken.calibrate_every = 2;
  unbroken.calibration_windows = 3;
  ASSERT_TRUE(Train(unbroken).ok());
  TrainingOptions broken = unbroken;
  broken.out = folder_ + "/broken";
  broken.hessians = folder_ + "/broken.hessians";
  for (const uint64_t stop : {9, 11}) {
    broken.stop_after_steps = stop;
    broken.start = StartMode::kResume;
    (void)Train(broken);  // too early for a Hessian, perhaps
  }
  broken.stop_after_steps = 0;
  const Status resumed = Train(broken);
  ASSERT_TRUE(resumed.ok()) << resumed.message();
  const auto a = ReadHessians(unbroken.hessians), b = ReadHessians(broken.hessians);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_GT(a->tokens, 3U * 8);
  EXPECT_EQ(a->tokens, b->tokens);
  for (const auto& [weight, matrix] : a->by_weight)
    EXPECT_EQ(*matrix, *b->by_weight.at(weight)) << weight;

  unbroken.out = folder_ + "/never";
  unbroken.overrides = {"schedule.warmdown_iters=0"};
  const Status never = Train(unbroken);
  EXPECT_EQ(never.code(), Code::kUsage);
  EXPECT_THAT(never.message(), HasSubstr("--calibrate-every"));
  unbroken.hessians.clear();
  unbroken.out = folder_ + "/nowhere";
  EXPECT_THAT(Train(unbroken).message(), HasSubstr("--save-hessians"));
}

TEST_F(Run, AnInterruptedCalibrationIsMadeUpForByResuming) {
  struct StopsAfterTheLastStep : TrainingObserver {
    bool Proceed(uint64_t /*targets_done*/) override { return !done; }
    void Saved(uint64_t step, const std::string& /*path*/) override { done = step == 12; }
    bool done = false;
  } stops;
  TrainingOptions options = Options("calibrated");
  options.hessians = folder_ + "/h.hessians";
  {
    auto run = TrainingRun::Prepare(test::Kernels(), options, stops);
    ASSERT_TRUE(run.ok()) << run.status().message();
    EXPECT_EQ((*run)->Run().code(), Code::kInterrupted);
  }
  EXPECT_FALSE(fs::exists(options.hessians));
  options.start = StartMode::kResume;
  const Status resumed = Train(options);
  ASSERT_TRUE(resumed.ok()) << resumed.message();
  EXPECT_TRUE(fs::exists(options.hessians));
}

TEST_F(Run, ResumesFromTheOneBeforeADamagedCheckpoint) {
  ASSERT_TRUE(Train(Options("unbroken")).ok());
  TrainingOptions options = Options("damaged");
  options.stop_after_steps = 8;
  ASSERT_TRUE(Train(options).ok());
  const std::string newest = options.out + "/step-00000008.ckpt";
  fs::resize_file(newest, fs::file_size(newest) / 2);
  options.stop_after_steps = 0;
  options.start = StartMode::kResume;
  ASSERT_TRUE(Train(options).ok());
  ASSERT_FALSE(observer_.notes.empty());
  EXPECT_THAT(observer_.notes[0], HasSubstr(newest));
  ExpectSameState(Last("unbroken"), Last("damaged"));
}

TEST_F(Run, AFolderWithCheckpointsNeedsAWord) {
  TrainingOptions options = Options("out");
  ASSERT_TRUE(Train(options).ok());
  const Status again = Train(options);
  EXPECT_EQ(again.code(), Code::kUsage);
  EXPECT_THAT(again.message(), testing::AllOf(HasSubstr("--resume"), HasSubstr("--fresh")));
  options.start = StartMode::kFresh;
  options.stop_after_steps = 2;
  ASSERT_TRUE(Train(options).ok());
  EXPECT_TRUE(fs::exists(options.out + "/step-00000002.ckpt"));
  EXPECT_FALSE(fs::exists(Last("out")));
}

TEST_F(Run, AFailingFreshStartDeletesNothing) {
  TrainingOptions options = Options("out");
  ASSERT_TRUE(Train(options).ok());
  options.start = StartMode::kFresh;
  options.data = {folder_ + "/missing.bin"};
  EXPECT_EQ(Train(options).code(), Code::kIo);
  EXPECT_TRUE(fs::exists(Last("out")));
}

TEST_F(Run, OtherNetworksAndOtherDataAreNotResumed) {
  TrainingOptions options = Options("out");
  options.stop_after_steps = 3;
  ASSERT_TRUE(Train(options).ok());
  options.start = StartMode::kResume;
  options.overrides = {"network.num_layers=4"};
  EXPECT_THAT(Train(options).message(), HasSubstr("another network"));
  options.overrides = {"group.matrix.lr=0.001"};
  options.stop_after_steps = 4;
  EXPECT_TRUE(Train(options).ok());
  ASSERT_FALSE(observer_.notes.empty());
  EXPECT_THAT(observer_.notes[0], HasSubstr("group.matrix.lr was 0.02, is 0.001"));
  options.data = {folder_ + "/val.bin"};
  options.validation.clear();
  EXPECT_THAT(Train(options).message(), HasSubstr("300 tokens"));
}

TEST_F(Run, OtherDataOfTheSameLengthAndAnotherOrderAreNotResumed) {
  const std::string a = folder_ + "/a.bin", b = folder_ + "/b.bin", c = folder_ + "/c.bin";
  ASSERT_TRUE(WriteTokenShard(a, test::TinyTokens(150, 3)).ok());
  ASSERT_TRUE(WriteTokenShard(b, test::TinyTokens(150, 4)).ok());
  ASSERT_TRUE(WriteTokenShard(c, test::TinyTokens(150, 5)).ok());
  TrainingOptions options = Options("out");
  options.data = {a, b};
  options.stop_after_steps = 3;
  ASSERT_TRUE(Train(options).ok());
  options.start = StartMode::kResume;
  options.stop_after_steps = 4;
  const std::pair<std::vector<std::string>, const char*> others[] = {{{a, c}, "c.bin"},
                                                                     {{b, a}, "a.bin"}};
  for (const auto& [other, name] : others) {
    options.data = other;
    const Status refused = Train(options);
    EXPECT_EQ(refused.code(), Code::kBadData);
    EXPECT_THAT(refused.message(), HasSubstr("training read other shards, or in another order"));
    EXPECT_THAT(refused.message(), HasSubstr(name));
  }
  fs::rename(b, folder_ + "/renamed.bin");
  options.data = {a, folder_ + "/renamed.bin"};
  EXPECT_TRUE(Train(options).ok()) << "the same text under another name";
  EXPECT_TRUE(observer_.warnings.empty());
  options.validation = {c};
  options.stop_after_steps = 5;
  EXPECT_TRUE(Train(options).ok());
  ASSERT_EQ(observer_.warnings.size(), 1U);
  EXPECT_THAT(observer_.warnings[0], HasSubstr("the validation text changed"));
}

// As checkpoints were before they held hashes.
TEST_F(Run, ACheckpointWithoutHashesIsResumedWithAWarning) {
  TrainingOptions options = Options("out");
  options.stop_after_steps = 3;
  ASSERT_TRUE(Train(options).ok());
  const std::string path = options.out + "/step-00000003.ckpt";
  {
    const auto checkpoint = Checkpoint::Open(path);
    ASSERT_TRUE(checkpoint.ok());
    CheckpointContents old = checkpoint->contents();
    EXPECT_EQ(old.training_shards.size(), 1U);
    EXPECT_EQ(old.validation_shards.size(), 1U);
    old.training_shards.clear();
    old.validation_shards.clear();
    ASSERT_TRUE(WriteCheckpoint(path, old).ok());
  }
  options.start = StartMode::kResume;
  options.stop_after_steps = 4;
  EXPECT_TRUE(Train(options).ok());
  ASSERT_EQ(observer_.warnings.size(), 1U);
  EXPECT_THAT(observer_.warnings[0], HasSubstr("no hashes of its training shards"));
}

TEST_F(Run, AShardIsInOneTextOnce) {
  TrainingOptions options = Options("out");
  fs::copy_file(folder_ + "/train.bin", folder_ + "/copy.bin");
  const auto refused = [&](std::vector<std::string> data, std::vector<std::string> validation) {
    options.data = std::move(data);
    options.validation = std::move(validation);
    const Status status = Train(options);
    EXPECT_EQ(status.code(), Code::kBadData);
    EXPECT_THAT(status.message(),
                HasSubstr("copy.bin: the same text as " + folder_ + "/train.bin"));
  };
  refused({folder_ + "/train.bin"}, {folder_ + "/val.bin", folder_ + "/copy.bin"});
  refused({folder_ + "/train.bin", folder_ + "/copy.bin"}, {folder_ + "/val.bin"});
  EXPECT_FALSE(fs::exists(folder_ + "/out/step-00000003.ckpt"));
}

TEST_F(Run, AFolderMeansItsSplit) {
  const std::string data = folder_ + "/data";
  fs::create_directory(data);
  ASSERT_TRUE(WriteTokenShard(data + "/g_train_000000.bin", test::TinyTokens(300, 1)).ok());
  ASSERT_TRUE(WriteTokenShard(data + "/g_val_000000.bin", test::TinyTokens(100, 2)).ok());
  ASSERT_TRUE(Train(Options("by_name")).ok());
  const auto expected = observer_.validations;
  TrainingOptions options = Options("by_folder");
  options.data = options.validation = {data};
  ASSERT_TRUE(Train(options).ok());
  EXPECT_EQ(observer_.validations, expected);
  ExpectSameState(Last("by_name"), Last("by_folder"));
}

TEST_F(Run, ABadNumberNamesTheLastGoodCheckpoint) {
  TrainingOptions options = Options("out");
  options.overrides = {"group.token.lr=1e38", "schedule.warmdown_iters=0",
                       "train.grad_clip_norm=0"};
  options.checkpoint_steps = 0;
  Status status = Train(options);
  EXPECT_EQ(status.code(), Code::kBadNumbers);
  EXPECT_THAT(status.message(),
              testing::AllOf(HasSubstr("step "), HasSubstr("there is no checkpoint yet")));
  EXPECT_FALSE(fs::exists(Last("out")));

  options.overrides.clear();
  options.stop_after_steps = 2;
  ASSERT_TRUE(Train(options).ok());
  options.start = StartMode::kResume;
  options.overrides = {"group.token.lr=1e38", "schedule.warmdown_iters=0"};
  options.stop_after_steps = 0;
  status = Train(options);
  EXPECT_EQ(status.code(), Code::kBadNumbers);
  EXPECT_THAT(status.message(), HasSubstr("step-00000002.ckpt"));
}

TEST_F(Run, SkippingBadStepsGivesUpOnALostNetwork) {
  TrainingOptions options = Options("out");
  options.overrides = {"group.token.lr=1e38", "schedule.iterations=100"};
  options.checkpoint_steps = 0;
  options.skip_bad_steps = true;
  EXPECT_EQ(Train(options).code(), Code::kBadNumbers);
}

TEST_F(Run, ValidatesOnScheduleAndAtTheEnd) {
  ASSERT_TRUE(Train(Options("out")).ok());
  std::vector<std::pair<uint64_t, std::string>> seen;
  for (const auto& [step, weights, _] : observer_.validations) seen.emplace_back(step, weights);
  const std::vector<std::pair<uint64_t, std::string>> expected = {
      {0, "raw"}, {5, "raw"}, {10, "raw"}, {12, "raw"}, {12, "ema"}};
  EXPECT_EQ(seen, expected);
  EXPECT_LT(std::get<double>(observer_.validations.back()),
            std::get<double>(observer_.validations.front()));
}

TEST_F(Run, ExportsAndStartsFromSafetensors) {
  TrainingOptions options = Options("first");
  options.export_path = folder_ + "/weights.safetensors";
  options.export_weights = ExportedWeights::kRaw;
  ASSERT_TRUE(Train(options).ok());
  const double trained = std::get<double>(observer_.validations[3]);
  options = Options("second");
  options.init = folder_ + "/weights.safetensors";
  options.stop_after_steps = 1;
  ASSERT_TRUE(Train(options).ok());
  EXPECT_EQ(std::get<double>(observer_.validations[0]), trained);

  const Result<TensorFile> file = ReadSafetensors(options.init);
  ASSERT_TRUE(file.ok());
  std::vector<TensorView> views = file->views();
  views.pop_back();
  ASSERT_TRUE(WriteSafetensors(options.init, views).ok());
  options.out = folder_ + "/third";
  const Status incomplete = Train(options);
  EXPECT_FALSE(incomplete.ok());
  EXPECT_THAT(incomplete.message(), HasSubstr("weights.safetensors"));
}

TEST_F(Run, ExportsTheMeanOfSnapshotsWhereThereIsOne) {
  TrainingOptions options = Options("out");
  options.export_path = folder_ + "/weights.safetensors";
  options.export_weights = ExportedWeights::kSwa;
  EXPECT_EQ(Train(options).code(), Code::kUsage);
  EXPECT_FALSE(fs::exists(folder_ + "/out/log.jsonl"));  // said before training, not after
  options.overrides = {"swa.every=2", "swa.below=0.9"};
  ASSERT_TRUE(Train(options).ok());
  EXPECT_TRUE(fs::exists(options.export_path));
}

TEST_F(Run, LogsEveryStepAsJson) {
  ASSERT_TRUE(Train(Options("out")).ok());
  std::ifstream log(folder_ + "/out/log.jsonl");
  std::map<std::string, int> events;
  double loss = 0;
  for (std::string line; std::getline(log, line);) {
    const auto entry = nlohmann::json::parse(line);
    ++events[entry.at("event").get<std::string>()];
    if (entry.at("event") == "step") loss = entry.at("loss_nats");
  }
  EXPECT_EQ(events["start"], 1);
  EXPECT_EQ(events["step"], 12);
  EXPECT_EQ(events["validation"], 5);
  EXPECT_EQ(events["checkpoint"], 4);
  EXPECT_GT(loss, 0);
}

TEST_F(Run, ADryRunTouchesNothing) {
  TrainingOptions options = Options("out");
  options.out.clear();
  auto run = TrainingRun::Prepare(test::Kernels(), options, observer_);
  ASSERT_TRUE(run.ok()) << run.status().message();
  const Result<size_t> peak = (*run)->PeakBytes();
  ASSERT_TRUE(peak.ok());
  EXPECT_GT(*peak, 3 * (*run)->trainer().weights().parameter_count() * sizeof(float));
  EXPECT_FALSE(fs::exists(folder_ + "/out"));
}

}  // namespace
}  // namespace golf
