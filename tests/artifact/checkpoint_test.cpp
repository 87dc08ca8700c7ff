#include "artifact/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "artifact/checkpoint_layout.h"
#include "kernels/base/printable.h"
#include "schemas/checkpoint_generated.h"
#include "tests/artifact/samples.h"
#include "tests/support/temp_folder.h"

namespace golf::test {
namespace {

struct SampleCheckpoint {
  std::vector<uint8_t> program = SampleProgram();
  SampleTensors weights = SampleNetwork(), average = TinyNetwork();
  CheckpointContents contents{
      program,
      "name = 'nano'\n",
      SampleTokenizer(),
      {{"weights", weights.views()}, {"ema", average.views()}, {"optimizer/m", {}}},
      {{"step", 12}, {"random/0", 0xfedcba9876543210U}},
      {{"clock_seconds", 1.5}}};
};

std::string WriteSample(const TempFolder& folder, const CheckpointContents& contents) {
  std::string path = folder / "a.ckpt";
  const Status status = WriteCheckpoint(path, contents);
  EXPECT_TRUE(status.ok()) << status.message();
  return path;
}

void ExpectEqual(std::span<const TensorView> a, std::span<const TensorView> b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    EXPECT_TRUE(std::ranges::equal(a[i].shape, b[i].shape)) << a[i].name;
    EXPECT_EQ(std::memcmp(a[i].data.data(), b[i].data.data(), a[i].data.size_bytes()), 0)
        << a[i].name;
  }
}

TEST(Checkpoint, GivesBackWhatWasSavedBitForBit) {
  const TempFolder folder;
  SampleCheckpoint sample;
  sample.weights.data[2][0] = -0.0F;
  const auto loaded = Checkpoint::Open(WriteSample(folder, sample.contents));
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const CheckpointContents& got = loaded->contents();
  EXPECT_TRUE(std::ranges::equal(got.program, sample.program));
  EXPECT_EQ(got.recipe, sample.contents.recipe);
  EXPECT_EQ(got.tokenizer, sample.contents.tokenizer);
  EXPECT_EQ(got.integers, sample.contents.integers);
  EXPECT_EQ(got.reals, sample.contents.reals);
  ASSERT_EQ(got.groups.size(), 3U);
  ExpectEqual(got.group("weights"), sample.contents.group("weights"));
  ExpectEqual(got.group("ema"), sample.contents.group("ema"));
  EXPECT_TRUE(got.group("optimizer/m").empty());
  EXPECT_TRUE(got.group("nothing").empty());
}

TEST(Checkpoint, TensorsLieAtAlignedAddresses) {
  const TempFolder folder;
  const SampleCheckpoint sample;
  const auto loaded = Checkpoint::Open(WriteSample(folder, sample.contents));
  ASSERT_TRUE(loaded.ok());
  for (const TensorView& t : loaded->contents().group("weights")) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data.data()) % 64, 0U) << t.name;
  }
}

TEST(Checkpoint, SavedAgainIsTheSameFile) {
  const TempFolder folder;
  const SampleCheckpoint sample;
  const std::string path = WriteSample(folder, sample.contents);
  const auto loaded = Checkpoint::Open(path);
  ASSERT_TRUE(loaded.ok());
  ASSERT_TRUE(WriteCheckpoint(folder / "b.ckpt", loaded->contents()).ok());
  EXPECT_EQ(ReadAll(folder / "b.ckpt"), ReadAll(path));
}

CheckpointContents TinyContents(const SampleCheckpoint& sample) {
  CheckpointContents contents = sample.contents;
  contents.groups = {{"weights", sample.average.views()}};
  return contents;
}

TEST(Checkpoint, RefusesEveryTruncationAndAppendedBytes) {
  const TempFolder folder;
  const SampleCheckpoint sample;
  const std::string path = WriteSample(folder, TinyContents(sample));
  const uintmax_t whole = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, whole + 64);
  EXPECT_EQ(Checkpoint::Open(path).status().code(), Code::kBadData);
  for (uintmax_t n = whole; n-- > 0;) {
    std::filesystem::resize_file(path, n);
    EXPECT_EQ(Checkpoint::Open(path).status().code(), Code::kBadData) << n;
  }
}

TEST(Checkpoint, RefusesEverySingleBitFlip) {
  const TempFolder folder;
  const SampleCheckpoint sample;
  const std::string path = WriteSample(folder, TinyContents(sample));
  const std::string bytes = ReadAll(path);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](size_t at, char byte) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte).flush();
  };
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    put(bit / 8, static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8));
    EXPECT_EQ(Checkpoint::Open(path).status().code(), Code::kBadData) << bit;
    put(bit / 8, bytes[bit / 8]);
  }
  EXPECT_TRUE(Checkpoint::Open(path).ok());
}

TEST(Checkpoint, NamesTheDamagedTensor) {
  const TempFolder folder;
  const SampleCheckpoint sample;
  const std::string path = WriteSample(folder, TinyContents(sample));
  std::string bytes = ReadAll(path);
  bytes[bytes.size() - 64] = static_cast<char>(bytes[bytes.size() - 64] ^ 1);
  const Status status = Checkpoint::Open(folder.Write("f.ckpt", bytes)).status();
  EXPECT_THAT(status.message(), testing::HasSubstr("blocks.0.mlp.up_proj.weight"));
  EXPECT_THAT(status.message(), testing::HasSubstr("f.ckpt"));
}

TEST(Checkpoint, RefusesNaNsAndKeepsTheOldFile) {
  const TempFolder folder;
  SampleCheckpoint sample;
  const std::string path = WriteSample(folder, sample.contents);
  const std::string before = ReadAll(path);
  for (const float bad : {NAN, INFINITY}) {
    sample.weights.data[3][5] = bad;
    const Status status = WriteCheckpoint(path, sample.contents);
    EXPECT_EQ(status.code(), Code::kBadNumbers);
    EXPECT_THAT(status.message(), testing::HasSubstr("blocks.0.attn.c_q.weight"));
  }
  EXPECT_EQ(ReadAll(path), before);
  EXPECT_FALSE(std::filesystem::exists(TemporaryName(path)));
}

TEST(AtomicFile, LeavesNothingBehindUnlessCommitted) {
  const TempFolder folder;
  const std::string path = folder.Write("x", "old");
  {
    auto file = AtomicFile::Create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Write(AsBytes("new")).ok());
    EXPECT_EQ(ReadAll(path), "old");
    EXPECT_EQ(AtomicFile::Create(path).status().code(), Code::kBusy);
  }
  EXPECT_EQ(ReadAll(path), "old");
  EXPECT_FALSE(std::filesystem::exists(TemporaryName(path)));
  folder.Write("x.golf.partial", "left by a crash, and longer");
  ASSERT_TRUE(WriteFileAtomically(path, AsBytes("new")).ok());
  EXPECT_EQ(ReadAll(path), "new");
  EXPECT_FALSE(std::filesystem::exists(TemporaryName(path)));
}

TEST(AtomicFile, WritesToDevicesAndReplacesNone) {
  EXPECT_TRUE(WriteFileAtomically("/dev/null", AsBytes("x")).ok());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_THAT(WriteFileAtomically("/dev/full", AsBytes("x")).message(),
              testing::HasSubstr("/dev/full: cannot write: No space"));
}

TEST(AtomicFile, FollowsLinksAndKeepsThem) {
  namespace fs = std::filesystem;
  const TempFolder folder, other;
  const std::string target = other.Write("target", "old");
  fs::permissions(target, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink(target, folder / "absolute");
  fs::create_symlink("absolute", folder / "relative");
  ASSERT_TRUE(WriteFileAtomically(folder / "relative", AsBytes("new")).ok());
  EXPECT_EQ(ReadAll(target), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "relative") && fs::is_symlink(folder / "absolute"));
  EXPECT_EQ(fs::status(target).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink(other / "made", folder / "dangling");
  ASSERT_TRUE(WriteFileAtomically(folder / "dangling", AsBytes("new")).ok());
  EXPECT_EQ(ReadAll(other / "made"), "new");
  fs::create_symlink("loop", folder / "loop");
  EXPECT_EQ(WriteFileAtomically(folder / "loop", AsBytes("x")).code(), Code::kIo);
}

TEST(AtomicFile, LeavesFilesOfOthersAlone) {
  const TempFolder folder;
  const std::string other = folder.Write("x.partial", "theirs");
  ASSERT_TRUE(WriteFileAtomically(folder / "x", AsBytes("new")).ok());
  EXPECT_EQ(ReadAll(other), "theirs");
}

TEST(AtomicFile, TakesNamesUpToTheLimitOfTheFileSystem) {
  const TempFolder folder;
  for (const size_t length : {241U, 242U, 243U, 250U, 255U}) {
    std::string name;
    while (name.size() + 2 <= length) name += "\u00e9";  // a cut must not split a character
    name.resize(length, 'x');
    const std::string path = folder / name;
    ASSERT_TRUE(WriteFileAtomically(path, AsBytes("new")).ok()) << length;
    EXPECT_EQ(ReadAll(path), "new");
    const std::string temporary = std::filesystem::path(TemporaryName(path)).filename().string();
    EXPECT_LE(temporary.size(), 255U);
    EXPECT_EQ(Printable(temporary), temporary);
  }
  EXPECT_NE(TemporaryName(folder / std::string(250, 'x')),
            TemporaryName(folder / (std::string(249, 'x') + "y")));
  const std::string too_long = folder / std::string(256, 'x');
  EXPECT_THAT(CheckWritable(too_long).message(), testing::HasSubstr("File name too long"));
  EXPECT_EQ(WriteFileAtomically(too_long, AsBytes("x")).code(), Code::kIo);
}

TEST(CheckWritable, SeesWhatWillFail) {
  const TempFolder folder;
  EXPECT_TRUE(CheckWritable(folder / "new").ok());
  EXPECT_TRUE(CheckWritable(folder.Write("old", "x")).ok());
  EXPECT_TRUE(CheckWritable("/dev/null").ok());
  EXPECT_THAT(CheckWritable(folder.path().string()).message(), testing::HasSubstr("is a folder"));
  EXPECT_THAT(CheckWritable(folder / "missing/x").message(),
              testing::HasSubstr("missing: cannot write into the folder: No such file"));
  EXPECT_EQ(CheckWritable(folder / "old/x").code(), Code::kIo);
}

TEST(AtomicFile, FailsWithPathAndReason) {
  const Status status = WriteFileAtomically("/no/such/folder/x", AsBytes("x"));
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_THAT(status.message(),
              testing::HasSubstr("/no/such/folder/x.golf.partial: cannot create: No such file"));
}

// A checkpoint of a description alone, with checksums that fit.
std::string WithDescription(const TempFolder& folder, flatbuffers::FlatBufferBuilder& builder) {
  CheckpointHeader header;
  const size_t bytes = builder.GetSize(), padding = CheckpointPadding(bytes);
  header.file_bytes = sizeof(header) + bytes + padding;
  header.description_bytes = bytes;
  header.description_xxh3 = Xxh3({builder.GetBufferPointer(), bytes});
  header.header_xxh3 = HeaderXxh3(header);
  std::string file(reinterpret_cast<const char*>(&header), sizeof(header));
  file.append(reinterpret_cast<const char*>(builder.GetBufferPointer()), bytes);
  return folder.Write("made.ckpt", file + std::string(padding, '\0'));
}

// 800 KB that would cost 40 GB of copies of one long name, were each made.
TEST(Checkpoint, TablesThatShareANameAreRefused) {
  const TempFolder folder;
  flatbuffers::FlatBufferBuilder builder;
  const auto name = builder.CreateString(std::string(400'000, 'x'));
  const auto tensors = builder.CreateVector<flatbuffers::Offset<schema::CheckpointTensor>>({});
  const auto group = schema::CreateTensorGroup(builder, name, tensors);
  const auto groups =
      builder.CreateVector(std::vector<flatbuffers::Offset<schema::TensorGroup>>(100'000, group));
  const auto program = builder.CreateVector(std::vector<uint8_t>(8));
  schema::FinishCheckpointBuffer(builder, schema::CreateCheckpoint(builder, program, 0, 0, groups));
  const auto loaded = Checkpoint::Open(WithDescription(folder, builder));
  EXPECT_EQ(loaded.status().code(), Code::kBadData);
  EXPECT_THAT(loaded.status().message(), testing::HasSubstr("share names"));
}

// A whole checkpoint of one tensor, its description edited and its checksums made to fit.
// Whoever shows names as a tree goes as deep as a name has dots.
TEST(Checkpoint, RefusesANameOfMegabytes) {
  const TempFolder folder;
  SampleCheckpoint sample;
  sample.contents.integers[std::string(2'000'000, '.')] = 1;
  const Status status = Checkpoint::Open(WriteSample(folder, sample.contents)).status();
  EXPECT_EQ(status.code(), Code::kBadData);
  EXPECT_THAT(status.message(), testing::HasSubstr("a name of 2000000 bytes"));
}

TEST(Checkpoint, RefusesDescriptionsThatDoNotFitTheFile) {
  const TempFolder folder;
  const auto message = [&](const auto& edit, const std::string& behind = "") {
    const std::vector<float> values = {1, 2, 3, 4, 5, 6};
    const std::string raw(reinterpret_cast<const char*>(values.data()), 24);
    schema::CheckpointT table;
    table.program.resize(8);
    table.groups.push_back(std::make_unique<schema::TensorGroupT>());
    table.groups[0]->name = "weights";
    auto tensor = std::make_unique<schema::CheckpointTensorT>();
    tensor->name = "w";
    tensor->shape = {2, 3};
    tensor->xxh3 = Xxh3(AsBytes(raw));
    table.groups[0]->tensors.push_back(std::move(tensor));
    edit(table, *table.groups[0]);
    flatbuffers::FlatBufferBuilder builder;
    schema::FinishCheckpointBuffer(builder, schema::Checkpoint::Pack(builder, &table));

    CheckpointHeader header;
    const size_t bytes = builder.GetSize();
    const std::string data = std::string(CheckpointPadding(bytes), '\0') + raw +
                             std::string(CheckpointPadding(raw.size()), '\0') + behind;
    header.description_bytes = bytes;
    header.description_xxh3 = Xxh3({builder.GetBufferPointer(), bytes});
    header.file_bytes = sizeof(header) + bytes + data.size();
    header.header_xxh3 = HeaderXxh3(header);
    std::string file(reinterpret_cast<const char*>(&header), sizeof(header));
    file.append(reinterpret_cast<const char*>(builder.GetBufferPointer()), bytes);
    return Checkpoint::Open(folder.Write("made.ckpt", file + data)).status().message();
  };
  using Table = schema::CheckpointT;
  using Group = schema::TensorGroupT;
  using testing::HasSubstr;
  EXPECT_EQ(message([](Table&, Group&) {}), "");
  EXPECT_THAT(message([](Table&, Group&) {}, std::string(64, 'x')), HasSubstr("after the last"));
  const auto shape = [&](const std::vector<uint32_t>& dimensions) {
    return message([&](Table&, Group& g) { g.tensors[0]->shape = dimensions; });
  };
  EXPECT_NE(shape({0}), "");
  EXPECT_NE(shape({1u << 31, 1u << 31}), "");
  EXPECT_NE(shape({7}), "");
  EXPECT_NE(shape({200}), "");
  EXPECT_THAT(shape(std::vector<uint32_t>(9, 1)), HasSubstr("dimensions"));
  const auto twice = [](Table&, Group& g) {
    g.tensors.push_back(std::make_unique<schema::CheckpointTensorT>(*g.tensors[0]));
  };
  EXPECT_THAT(message(twice), HasSubstr("ends too early"));
  const float again[16] = {1, 2, 3, 4, 5, 6};
  EXPECT_THAT(message(twice, {reinterpret_cast<const char*>(again), sizeof(again)}),
              HasSubstr("has 'w' twice"));
}

TEST(Checkpoint, ADescriptionOfGarbageIsRefused) {
  const TempFolder folder;
  CheckpointHeader header;
  const std::string garbage(64, '\x7f');
  header.description_bytes = garbage.size();
  header.description_xxh3 = Xxh3(AsBytes(garbage));
  header.file_bytes = sizeof(header) + garbage.size();
  header.header_xxh3 = HeaderXxh3(header);
  const std::string file(reinterpret_cast<const char*>(&header), sizeof(header));
  EXPECT_THAT(Checkpoint::Open(folder.Write("made.ckpt", file + garbage)).status().message(),
              testing::HasSubstr("malformed"));
}

TEST(Checkpoint, NothingStandsInItTwice) {
  const TempFolder folder;
  const auto message = [&](const auto& edit) {
    schema::CheckpointT table;
    table.program.resize(8);
    edit(table);
    flatbuffers::FlatBufferBuilder builder;
    schema::FinishCheckpointBuffer(builder, schema::Checkpoint::Pack(builder, &table));
    return Checkpoint::Open(WithDescription(folder, builder)).status().message();
  };
  EXPECT_EQ(message([](auto&) {}), "");
  const auto twice = [](auto& list) {
    for (int i = 0; i < 2; ++i) {
      list.push_back(std::make_unique<std::remove_reference_t<decltype(*list[0])>>());
      list.back()->name = "step";
    }
  };
  EXPECT_THAT(message([&](auto& t) { twice(t.groups); }), testing::HasSubstr("group 'step'"));
  EXPECT_THAT(message([&](auto& t) { twice(t.integers); }), testing::HasSubstr("integer 'step'"));
  EXPECT_THAT(message([&](auto& t) { twice(t.reals); }), testing::HasSubstr("real 'step'"));
}

}  // namespace
}  // namespace golf::test
