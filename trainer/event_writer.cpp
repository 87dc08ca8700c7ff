#include "trainer/event_writer.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <chrono>
#include <filesystem>

namespace golf {
namespace {

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = MakeCrcTable();

template <class T>
void AppendFixed(std::string& out, T value) {
  static_assert(std::endian::native == std::endian::little);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Protocol buffer wire types: 0 varint, 1 fixed 64, 2 length-delimited, 5 fixed 32.
void AppendKey(std::string& out, uint32_t field, uint32_t wire_type) {
  AppendVarint(out, field << 3 | wire_type);
}

void AppendBytes(std::string& out, uint32_t field, std::string_view bytes) {
  AppendKey(out, field, 2);
  AppendVarint(out, bytes.size());
  out.append(bytes);
}

std::string EventHead(uint64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  std::string event;
  AppendKey(event, 1, 1);
  AppendFixed(event, now.count());
  AppendKey(event, 2, 0);
  AppendVarint(event, step);
  return event;
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) crc = kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

Result<EventWriter> EventWriter::Create(const std::string& folder) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count();
  const auto path = [&] { return fmt::format("{}/events.out.tfevents.{}.golf", folder, seconds); };
  std::error_code missing;
  while (std::filesystem::exists(path(), missing)) ++seconds;
  GOLF_ASSIGN(GrowingFile file, GrowingFile::Open(path()));
  EventWriter writer(std::move(file));
  std::string event = EventHead(0);
  AppendBytes(event, 3, "brain.Event:2");
  GOLF_TRY(writer.WriteRecord(event));
  return writer;
}

Status EventWriter::AddScalars(uint64_t step,
                               std::span<const std::pair<std::string_view, double>> scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string entry;
    AppendBytes(entry, 1, tag);
    AppendKey(entry, 2, 5);
    AppendFixed(entry, static_cast<float>(value));
    AppendBytes(summary, 1, entry);
  }
  std::string event = EventHead(step);
  AppendBytes(event, 5, summary);
  return WriteRecord(event);
}

Status EventWriter::WriteRecord(const std::string& data) {
  std::string record;
  AppendFixed(record, static_cast<uint64_t>(data.size()));
  AppendFixed(record, MaskCrc(Crc32c(record)));
  record += data;
  AppendFixed(record, MaskCrc(Crc32c(data)));
  return file_.Append(AsBytes(record));
}

}  // namespace golf
