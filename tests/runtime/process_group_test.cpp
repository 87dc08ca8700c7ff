#include "runtime/process_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "runtime/launch.h"
#include "tests/support/thread_group.h"

namespace golf {
namespace {

using test::InThreads;
using testing::ElementsAre;

TEST(ProcessGroups, AProcessAloneKeepsWhatItHas) {
  ProcessGroup& alone = OneProcess();
  float value = 3;
  alone.Sum({&value, 1});
  EXPECT_EQ(value, 3);
  const std::vector<int> mine = {1, 2};
  EXPECT_THAT(*alone.Gather(std::span(mine)), ElementsAre(mine));
  EXPECT_EQ(alone.Agree({Code::kIo, "no"}).message(), "no");
  EXPECT_TRUE(alone.Agree({}).ok());
  EXPECT_FALSE(*alone.ForAll(false));
  EXPECT_EQ(*alone.OfRankZero(7), 7);
}

TEST(ProcessGroups, SharesAreNeighboursThatCoverEverythingOnce) {
  for (const size_t n : {0, 1, 2, 7, 64, 1000}) {
    for (const size_t size : {1, 2, 3, 8}) {
      size_t next = 0;
      for (size_t rank = 0; rank < size; ++rank) {
        const Share share = ShareOf(n, rank, size);
        EXPECT_EQ(share.begin, next);
        EXPECT_GE(share.size(), n / size);
        EXPECT_LE(share.size(), n / size + 1);
        next = share.end;
      }
      EXPECT_EQ(next, n);
    }
  }
}

TEST(ProcessGroups, GatherGivesAllWhatEachHadByRank) {
  InThreads(3, [](ProcessGroup& group) {
    const std::vector<int> mine(group.rank(), static_cast<int>(group.rank()));
    const auto all = group.Gather(std::span(mine));
    ASSERT_TRUE(all.ok());
    EXPECT_THAT(*all, ElementsAre(ElementsAre(), ElementsAre(1), ElementsAre(2, 2)));
  });
}

TEST(ProcessGroups, RankZeroDecides) {
  InThreads(3, [](ProcessGroup& group) {
    EXPECT_EQ(*group.OfRankZero(10.5 + static_cast<double>(group.rank())), 10.5);
    EXPECT_EQ(*group.OfRankZero(std::string(group.rank() == 0 ? "here" : "")), "here");
    EXPECT_TRUE(*group.ForAll(true));
    EXPECT_FALSE(*group.ForAll(group.rank() != 1));
  });
}

TEST(ProcessGroups, AFailureOfOneIsTheFailureOfAllFromThenOn) {
  InThreads(3, [](ProcessGroup& group) {
    const Status mine = group.rank() == 0 ? Status() : Status(Code::kIo, "disk full");
    const auto all = group.Gather(std::span<const int>(), mine);
    EXPECT_EQ(all.status().code(), Code::kIo);
    EXPECT_EQ(all.status().message(), "rank 1: disk full");
    EXPECT_EQ(group.ForAll(true).status().message(), "rank 1: disk full");
    EXPECT_EQ(group.Agree({}).message(), "rank 1: disk full");
    // What was made of it on the way up says more.
    EXPECT_EQ(group.Agree({Code::kIo, "saving: disk full"}).message(), "saving: disk full");
  });
}

// What main does: the one that fails is at its last Agree() while the others still work.
TEST(ProcessGroups, OneThatLeavesEarlyTakesTheOthersAlong) {
  InThreads(3, [](ProcessGroup& group) {
    const auto work = [&]() -> Status {
      for (int step = 0; step < 10; ++step) {
        if (step == 4 && group.rank() == 2) return {Code::kBadData, "a damaged shard"};
        GOLF_ASSIGN(const double seconds, group.OfRankZero(1.5));
        EXPECT_EQ(seconds, 1.5);
        EXPECT_LE(step, 4);
      }
      return {};
    };
    const Status status = group.Agree(work());
    EXPECT_EQ(status.code(), Code::kBadData);
    EXPECT_EQ(status.message(), "rank 2: a damaged shard");
  });
}

TEST(ProcessGroups, WhatHasToBeTheSameIsNamedWithTheFirstRankThatDiffers) {
  InThreads(3, [](ProcessGroup& group) {
    const Status otherwise(Code::kUsage, "has another answer than rank 0");
    const std::byte same[] = {std::byte{4}};
    EXPECT_TRUE(group.CheckSame(same, otherwise).ok());
    const std::byte differs[] = {std::byte(group.rank() / 2)};
    const Status status = group.CheckSame(differs, otherwise);
    EXPECT_EQ(status.code(), Code::kUsage);
    EXPECT_EQ(status.message(), "rank 2 has another answer than rank 0");
  });
}

class Launches : public testing::Test {
 protected:
  static constexpr const char* kVariables[] = {
      "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE",    "PMI_RANK", "PMIX_RANK",
      "SLURM_STEP_NUM_TASKS", "SLURM_PROCID",         "SLURM_NTASKS"};
  Launches() {
    for (const char* name : kVariables) unsetenv(name);
  }
  ~Launches() override {
    for (const char* name : kVariables) unsetenv(name);
  }
};

TEST_F(Launches, WithoutALauncherThereIsOneProcess) {
  EXPECT_FALSE(ReadLaunch().several);
  setenv("SLURM_NTASKS", "8", 1);  // a batch script's plain call
  setenv("SLURM_PROCID", "0", 1);
  EXPECT_FALSE(ReadLaunch().several);
}

TEST_F(Launches, AreReadFromTheLaunchersVariables) {
  const auto expect = [](size_t processes, const std::string& rank) {
    const Launch launch = ReadLaunch();
    EXPECT_EQ(launch.several, processes != 1);
    EXPECT_EQ(launch.processes, processes);
    EXPECT_EQ(launch.rank, rank);
  };
  setenv("PMIX_RANK", "1", 1);
  expect(0, "1");
  setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  setenv("SLURM_PROCID", "3", 1);
  expect(4, "3");
  setenv("PMI_SIZE", "3", 1);
  setenv("PMI_RANK", "2", 1);
  expect(3, "2");
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  setenv("OMPI_COMM_WORLD_RANK", "0", 1);
  expect(2, "0");
  setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
  expect(1, "0");
  setenv("OMPI_COMM_WORLD_SIZE", "", 1);
  expect(3, "2");
}

TEST_F(Launches, SeveralProcessesWithoutTheModuleAreAnErrorThatSaysWhatToDo) {
  const auto joined = JoinProcesses({true, 4, "2", "PMI_SIZE"});  // no module lies beside a test
  EXPECT_EQ(joined.status().code(), Code::kIo);
  EXPECT_THAT(joined.status().message(),
              testing::AllOf(testing::HasSubstr("4 processes share this job (PMI_SIZE)"),
                             testing::HasSubstr("lib/golf_mpi.so"),
                             testing::HasSubstr("start one process without mpirun")));
}

}  // namespace
}  // namespace golf
