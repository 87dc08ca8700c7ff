#include "trainer/event_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

namespace golf {
namespace {

template <class T>
T Fixed(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

// Splits a file into records, checking both checksums.
std::vector<std::string> Records(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const auto length = Fixed<uint64_t>(file, at);
    EXPECT_EQ(Fixed<uint32_t>(file, at + 8), MaskCrc(Crc32c(file.substr(at, 8))));
    records.push_back(file.substr(at + 12, length));
    EXPECT_EQ(Fixed<uint32_t>(file, at + 12 + length), MaskCrc(Crc32c(records.back())));
    at += 16 + length;
  }
  return records;
}

// Fields of a protocol buffer message: number -> raw values (varints as 8 bytes).
std::multimap<uint32_t, std::string> Fields(const std::string& message) {
  std::multimap<uint32_t, std::string> fields;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(message[at++]);
      value |= uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.size()) {
    const uint64_t key = varint();
    std::string value;
    switch (key & 7) {
      case 0: {
        const uint64_t number = varint();
        value.assign(reinterpret_cast<const char*>(&number), sizeof(number));
        break;
      }
      case 1:
        value = message.substr(at, 8), at += 8;
        break;
      case 5:
        value = message.substr(at, 4), at += 4;
        break;
      default: {
        const uint64_t length = varint();
        value = message.substr(at, length), at += length;
      }
    }
    fields.emplace(static_cast<uint32_t>(key >> 3), value);
  }
  return fields;
}

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(EventWriter, ChecksumsAreThoseOfTensorFlow) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);            // the check value of CRC-32C
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU);  // RFC 3720, B.4
}

TEST(EventWriter, ScalarsReadBack) {
  const std::string folder = testing::TempDir() + "event_writer_test";
  std::filesystem::create_directories(folder);
  Result<EventWriter> writer = EventWriter::Create(folder);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  const std::pair<std::string_view, double> scalars[] = {{"train/loss", 2.5}, {"lr", 1e-3}};
  ASSERT_TRUE(writer->AddScalars(300, scalars).ok());

  const std::vector<std::string> records = Records(Read(writer->path()));
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(Fields(records[0]).find(3)->second, "brain.Event:2");
  const auto event = Fields(records[1]);
  EXPECT_EQ(Fixed<uint64_t>(event.find(2)->second, 0), 300U);
  EXPECT_GT(Fixed<double>(event.find(1)->second, 0), 1.6e9);
  std::map<std::string, float> read;
  const auto summary = Fields(event.find(5)->second);
  for (const auto& [field, value] : summary) {
    EXPECT_EQ(field, 1U);
    const auto entry = Fields(value);
    read[entry.find(1)->second] = Fixed<float>(entry.find(2)->second, 0);
  }
  EXPECT_EQ(read, (std::map<std::string, float>{{"train/loss", 2.5F}, {"lr", 1e-3F}}));
  std::filesystem::remove_all(folder);
}

// The steps of the tags in an event file, in order.
std::vector<uint64_t> StepsOf(const std::string& path) {
  std::vector<uint64_t> steps;
  const std::vector<std::string> records = Records(Read(path));
  for (size_t i = 1; i < records.size(); ++i)
    steps.push_back(Fixed<uint64_t>(Fields(records[i]).find(2)->second, 0));
  return steps;
}

TEST(CutEvents, TakesAwayWhatARunThatGoesOnWritesAgain) {
  const std::string folder = testing::TempDir() + "event_writer_cut";
  std::filesystem::create_directories(folder);
  Result<EventWriter> writer = EventWriter::Create(folder);
  ASSERT_TRUE(writer.ok());
  const std::pair<std::string_view, double> train[] = {{"train/loss_nats", 1}},
                                            validation[] = {{"validation_raw/loss_nats", 2}};
  ASSERT_TRUE(writer->AddScalars(0, validation).ok());
  for (const uint64_t step : {1, 2, 300}) {
    ASSERT_TRUE(writer->AddScalars(step, train).ok());
    ASSERT_TRUE(writer->AddScalars(step, validation).ok());
  }
  using Steps = std::vector<uint64_t>;
  ASSERT_TRUE(CutEvents(folder, 300).ok());
  EXPECT_EQ(StepsOf(writer->path()), (Steps{0, 1, 1, 2, 2, 300}));
  std::ofstream(writer->path(), std::ios::app) << "torn";
  ASSERT_TRUE(CutEvents(folder, 1000).ok());
  EXPECT_EQ(StepsOf(writer->path()), (Steps{0, 1, 1, 2, 2, 300}));
  ASSERT_TRUE(CutEvents(folder, 1).ok());
  EXPECT_EQ(StepsOf(writer->path()), (Steps{0, 1}));
  const std::string other = folder + "/events.out.tfevents.1.host";
  std::ofstream(other) << "another program's";
  ASSERT_TRUE(CutEvents(folder, 0).ok());
  EXPECT_EQ(StepsOf(writer->path()), Steps());
  EXPECT_EQ(Read(other), "another program's");
  std::filesystem::remove_all(folder);
}

TEST(EventWriter, TwoWritersOfOneFolderHaveTwoFiles) {
  const std::string folder = testing::TempDir() + "event_writer_two";
  std::filesystem::create_directories(folder);
  Result<EventWriter> a = EventWriter::Create(folder), b = EventWriter::Create(folder);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(a->path(), b->path());
  EXPECT_EQ(EventWriter::Create(folder + "/missing").status().code(), Code::kIo);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace golf
