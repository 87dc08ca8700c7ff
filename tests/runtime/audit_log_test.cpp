// The writing side of the audit log: which records a run leaves, and that none goes missing unsaid.
#include "runtime/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/runtime/fake_executor.h"
#include "tests/support/failing_calls.h"
#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Status Score(AuditLog& log, size_t begin, uint32_t count) {
  const std::vector<float> nll(count, 1.5F);
  const std::vector<uint32_t> bytes(count, 3);
  return log.Scored({{begin, count, 0, count}, 0, nll, bytes, {}});
}

Status Train(AuditLog& log, size_t begin, size_t end) {
  const EvalStep step{EvalStep::Kind::kTrain, begin, end, 0, 0.5};
  const std::vector<TrainUpdate> updates = {{2.5, 1.0}, {2.0, 1.0}};
  return log.Trained({step, updates, FakeWeights()});
}

// The first window, neighbouring windows, training right behind training, a window further on, and a record that is full.
Status Tell(const std::string& path) {
  GOLF_ASSIGN(const auto log, AuditLog::Create(path, {}, /*replace=*/true));
  GOLF_TRY(Score(*log, 0, 16));
  GOLF_TRY(Score(*log, 16, 8));
  GOLF_TRY(Score(*log, 24, 8));
  GOLF_TRY(Train(*log, 0, 16));
  GOLF_TRY(Train(*log, 16, 32));
  GOLF_TRY(Score(*log, 32, 8));
  GOLF_TRY(Score(*log, 100, 40'000));
  GOLF_TRY(Score(*log, 40'100, 8));
  return log->Finish();
}

TEST(AuditLog, ClosesAScoreRecordAtAGapAtTrainingAndWhenItIsFull) {
  const TempFolder folder;
  ASSERT_TRUE(Tell(folder / "log").ok());
  std::vector<std::string> records;
  std::istringstream lines(ReadAll(folder / "log"));
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    records.push_back(record.at("type").get<std::string>() +
                      (record.contains("range") ? record.at("range").dump() : ""));
  }
  EXPECT_THAT(records,
              ElementsAre("header", "score[0,16]", "score[16,32]", "train[0,16]", "train[16,32]",
                          "score[32,40]", "score[100,40100]", "score[40100,40108]", "end"));
}

TEST(AuditLog, NamesTheCallThatFailedWhicheverItIs) {
  const TempFolder folder;
  const std::string path = folder / "log";
  const size_t calls = EachCallFails(
      {.error = ENOSPC}, [&] { return Tell(path); },
      [&](const std::string& call, const Status& status) {
        EXPECT_EQ(status.code(), Code::kIo) << call;
        EXPECT_THAT(status.message(), HasSubstr(path)) << call;
        EXPECT_THAT(status.message(), HasSubstr(std::strerror(ENOSPC))) << call;
      });
  EXPECT_EQ(calls, 15U);  // open, fstat, flock, fstat, ftruncate, nine records, fsync
}

TEST(AuditLog, InterruptionsAndShortWritesLeaveTheSameLog) {
  const TempFolder folder;
  const std::string path = folder / "log";
  ASSERT_TRUE(Tell(path).ok());
  const std::string whole = ReadAll(path);
  for (const Fault& fault :
       {Fault{.error = EINTR, .call = "open"}, Fault{.error = EINTR, .call = "flock"},
        Fault{.error = EINTR, .call = "ftruncate"}, Fault{.error = EINTR, .call = "write"},
        Fault{.error = EINTR, .call = "fsync"}, Fault{.error = kOneByte, .call = "write"}}) {
    EachCallFails(
        fault, [&] { return Tell(path); },
        [&](const std::string& call, const Status& status) {
          EXPECT_TRUE(status.ok()) << call << ": " << status.message();
          EXPECT_EQ(ReadAll(path), whole) << call;
        });
  }
}

// What a pipe, and a file system that is read-only by now, say to fsync.
TEST(AuditLog, MayBeWrittenWhereNothingCanBeSynced) {
  const TempFolder folder;
  for (const int error : {EINVAL, EROFS}) {
    const FailingCall failing({.error = error, .call = "fsync"});
    EXPECT_TRUE(Tell(folder / "log").ok()) << error;
    EXPECT_EQ(failing.met(), "fsync");
  }
}

TEST(AuditLog, OneProcessAtATimeWritesALogAndNothingIsCutOffBeforeTheLock) {
  const TempFolder folder;
  const std::string path = folder / "log";
  const auto first = AuditLog::Create(path, {});
  ASSERT_TRUE(first.ok());
  const std::string header = ReadAll(path);
  for (const bool replace : {false, true})
    EXPECT_EQ(AuditLog::Create(path, {}, replace).status().code(), Code::kBusy);
  EXPECT_EQ(ReadAll(path), header);
  EXPECT_TRUE((*first)->Finish().ok());
}

TEST(AuditLog, ReplacesAFileThatHoldsSomethingOnlyWhereAskedTo) {
  const TempFolder folder;
  const std::string path = folder.Write("log", "precious");
  EXPECT_EQ(AuditLog::Create(path, {}).status().code(), Code::kUsage);
  EXPECT_EQ(ReadAll(path), "precious");
  EXPECT_TRUE(AuditLog::Create(path, {}, /*replace=*/true).ok());
  EXPECT_THAT(ReadAll(path), testing::StartsWith("{\"type\":\"header\""));
  EXPECT_TRUE(AuditLog::Create(folder.Write("empty", ""), {}).ok());
  EXPECT_TRUE(AuditLog::Create("/dev/null", {}).ok());
}

TEST(AuditLog, NeedsAFolderThatIsThere) {
  EXPECT_EQ(AuditLog::Create("/nonexistent/folder/log", {}).status().code(), Code::kIo);
}

}  // namespace
}  // namespace golf::test
