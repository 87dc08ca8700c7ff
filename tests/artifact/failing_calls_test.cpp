// What readers and writers make of calls of the system that fail: the file and the reason are named, a file that was there
// stays or is replaced as a whole, interruptions and short transfers change nothing.
#include "tests/support/failing_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <ostream>

#include "artifact/artifact.h"
#include "artifact/budget.h"
#include "artifact/checkpoint.h"
#include "artifact/hessians.h"
#include "artifact/safetensors.h"
#include "artifact/sha256.h"
#include "artifact/token_shard.h"
#include "tests/artifact/samples.h"
#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

struct Writer {
  const char* name;
  std::function<Status(const std::string& path)> write;
};

void PrintTo(const Writer& writer, std::ostream* out) { *out << writer.name; }

const SampleTensors& Tiny() {
  static const SampleTensors tensors = TinyNetwork();
  return tensors;
}

const Writer kWriters[] = {
    {"Bytes", [](const std::string& path) { return WriteFileAtomically(path, AsBytes("new")); }},
    {"Shard",
     [](const std::string& path) {
       return WriteTokenShard(path, std::vector<uint16_t>{1, 2, 3});
     }},
    {"Safetensors", [](const std::string& path) { return WriteSafetensors(path, Tiny().views()); }},
    {"Checkpoint",
     [](const std::string& path) {
       CheckpointContents contents;
       contents.groups = {{"weights", Tiny().views()}};
       return WriteCheckpoint(path, contents);
     }},
    {"Hessians",
     [](const std::string& path) {
       HessianSet set;
       set.by_weight["w"] = std::make_shared<const std::vector<float>>(std::vector<float>{4});
       return WriteHessians(path, set);
     }},
};

class FailingWrites : public testing::TestWithParam<Writer> {
 protected:
  FailingWrites() {
    EXPECT_TRUE(GetParam().write(path_).ok());
    whole_ = ReadAll(path_);
  }
  Status Write() const {
    folder_.Write("x", "old");
    std::filesystem::remove(TemporaryName(path_));
    return GetParam().write(path_);
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "x";
  std::string whole_;
};

TEST_P(FailingWrites, LeaveTheOldFileOrTheNew) {
  const size_t calls = EachCallFails(
      {.error = EIO}, [&] { return Write(); },
      [&](const std::string& call, const Status& status) {
        EXPECT_FALSE(std::filesystem::exists(TemporaryName(path_))) << call;
        EXPECT_EQ(status.code(), Code::kIo) << call;
        EXPECT_THAT(status.message(), HasSubstr(std::strerror(EIO))) << call;
        EXPECT_THAT(status.message(), HasSubstr(folder_.path().string())) << call;
        EXPECT_THAT(ReadAll(path_), AnyOf("old", whole_)) << call;
      });
  EXPECT_GE(calls, 9U);  // open, flock, fstat, stat, ftruncate, write, fsync, rename; the folder's
}

TEST_P(FailingWrites, InterruptionsAndShortTransfersChangeNothing) {
  const auto unharmed = [&](const std::string& call, const Status& status) {
    EXPECT_TRUE(status.ok()) << call << ": " << status.message();
    EXPECT_EQ(ReadAll(path_), whole_) << call;
  };
  for (const char* call : {"open", "flock", "ftruncate", "write", "fsync"})
    EXPECT_GT(EachCallFails(
                  {.error = EINTR, .call = call}, [&] { return Write(); }, unharmed),
              0U);
  EachCallFails(
      {.error = kOneByte, .call = "write"}, [&] { return Write(); }, unharmed);
}

INSTANTIATE_TEST_SUITE_P(Of, FailingWrites, testing::ValuesIn(kWriters),
                         [](const auto& writer) { return writer.param.name; });

// The lock belongs to a file that another writer keeps replacing, or is held by one.
TEST(AtomicFile, GivesWayToAnotherWriter) {
  const TempFolder folder;
  const std::string path = folder / "x";
  for (const Fault& fault : {Fault{.error = ENOENT, .call = "stat", .times = 100},
                             Fault{.error = EWOULDBLOCK, .call = "flock"}}) {
    const FailingCall failing(fault);
    EXPECT_EQ(WriteFileAtomically(path, AsBytes("new")).code(), Code::kBusy) << fault.call;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

// It may be locked by a writer that this one cannot see.
TEST(AtomicFile, LeavesATemporaryFileThatItDidNotMakeAndCannotLock) {
  const TempFolder folder;
  const std::string other = folder.Write("x.golf.partial", "theirs");
  for (const char* call : {"flock", "fstat"}) {
    const FailingCall failing({.error = EIO, .call = call});
    EXPECT_EQ(WriteFileAtomically(folder / "x", AsBytes("new")).code(), Code::kIo) << call;
    EXPECT_EQ(ReadAll(other), "theirs") << call;
  }
}

// Some file systems cannot sync a folder.
TEST(SyncFolder, TakesEinvalForAnAnswer) {
  const FailingCall failing({.error = EINVAL, .call = "fsync"});
  EXPECT_TRUE(SyncFolder("").ok());
  EXPECT_EQ(failing.met(), "fsync");
}

struct Reader {
  const char* name;
  std::string content;
  std::function<Status(const std::string& path)> read;
};

void PrintTo(const Reader& reader, std::ostream* out) { *out << reader.name; }

std::string Written(const Writer& writer) {
  const TempFolder folder;
  EXPECT_TRUE(writer.write(folder / "x").ok());
  return ReadAll(folder / "x");
}

std::vector<Reader> Readers() {
  const std::vector<uint8_t> artifact = TinyArtifact();
  const std::string piece("\x0a\x03\x0a\x01x", 5);
  using Path = const std::string&;
  return {
      {"Artifact",
       {artifact.begin(), artifact.end()},
       [](Path path) { return Artifact::Read(path).status(); }},
      {"Shard", Written(kWriters[1]), [](Path path) { return TokenShard::Open(path).status(); }},
      {"Safetensors", Written(kWriters[2]),
       [](Path path) { return ReadSafetensors(path).status(); }},
      {"Checkpoint", Written(kWriters[3]),
       [](Path path) { return Checkpoint::Open(path).status(); }},
      {"Hessians", Written(kWriters[4]), [](Path path) { return ReadHessians(path).status(); }},
      {"Tokenizer", piece, [](Path path) { return ReadTokenizerInfo(path).status(); }},
      {"Digest", "abc", [](Path path) { return Sha256OfFile(path).status(); }},
      {"Code", "abc", [](Path path) { return MeasureCode({path}).status(); }},
  };
}

class FailingReads : public testing::TestWithParam<Reader> {
 protected:
  Status Read() const { return GetParam().read(path_); }

  const TempFolder folder_;
  const std::string path_ = folder_.Write("x", GetParam().content);
};

TEST_P(FailingReads, NameTheFileAndTheReason) {
  const size_t calls = EachCallFails(
      {.error = EIO}, [&] { return Read(); },
      [&](const std::string& call, const Status& status) {
        EXPECT_EQ(status.code(), Code::kIo) << call;
        EXPECT_THAT(status.message(), HasSubstr(path_)) << call;
        EXPECT_THAT(status.message(), HasSubstr(std::strerror(EIO))) << call;
      });
  EXPECT_GE(calls, 3U);  // open, fstat, then mmap or read
}

TEST_P(FailingReads, InterruptionsAndShortTransfersChangeNothing) {
  const auto unharmed = [](const std::string& call, const Status& status) {
    EXPECT_TRUE(status.ok()) << call << ": " << status.message();
  };
  for (const Fault& fault :
       {Fault{.error = EINTR, .call = "open"}, Fault{.error = EINTR, .call = "read"},
        Fault{.error = kOneByte, .call = "read"}})
    EachCallFails(
        fault, [&] { return Read(); }, unharmed);
}

TEST_P(FailingReads, NameADamagedFile) {
  folder_.Write("x", "damaged");
  const Status status = Read();
  if (status.ok()) return;  // any bytes have a digest and a size
  EXPECT_EQ(status.code(), Code::kBadData);
  EXPECT_THAT(status.message(), HasSubstr(path_));
}

INSTANTIATE_TEST_SUITE_P(Of, FailingReads, testing::ValuesIn(Readers()),
                         [](const auto& reader) { return reader.param.name; });

TEST(ReadFile, SaysThatTheFileBecameShorter) {
  const TempFolder folder;
  const std::string path = folder.Write("x", "12345");
  const FailingCall failing({.error = kEndOfFile, .call = "read"});
  EXPECT_THAT(ReadFile(path, 5).status().message(), HasSubstr("x: became shorter"));
}

TEST(GrowingFile, NamesTheCallThatFailed) {
  const TempFolder folder;
  const std::string path = folder / "log";
  const auto work = [&]() -> Status {
    folder.Write("log", "one\ntw");
    GOLF_ASSIGN(GrowingFile file, GrowingFile::Open(path));
    GOLF_TRY(file.CutUnfinishedLine());
    return file.Append(AsBytes("two\n"));
  };
  EachCallFails({.error = EIO}, work, [&](const std::string& call, const Status& status) {
    EXPECT_EQ(status.code(), Code::kIo) << call;
    EXPECT_THAT(status.message(), HasSubstr(path)) << call;
  });
  for (const char* call : {"open", "pread", "ftruncate", "write"}) {
    EachCallFails({.error = EINTR, .call = call}, work, [&](const std::string&, const Status& s) {
      EXPECT_TRUE(s.ok()) << call << ": " << s.message();
      EXPECT_EQ(ReadAll(path), "one\ntwo\n") << call;
    });
  }
}

}  // namespace
}  // namespace golf::test
