#include "trainer/event_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>

namespace golf {
namespace {

constexpr std::string_view kPrefix = "events.out.tfevents.", kSuffix = ".golf";

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

template <class T>
std::optional<T> TakeFixed(std::string_view& bytes) {
  T value;
  if (bytes.size() < sizeof(value)) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof(value));
  bytes.remove_prefix(sizeof(value));
  return value;
}

std::optional<uint64_t> TakeVarint(std::string_view& bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// The next record of an event file; nothing where it ends or is damaged.
std::optional<std::string_view> TakeRecord(std::string_view& bytes) {
  const std::string_view head = bytes.substr(0, sizeof(uint64_t));
  const auto size = TakeFixed<uint64_t>(bytes);
  const auto head_crc = TakeFixed<uint32_t>(bytes);
  if (!head_crc || *head_crc != MaskCrc(Crc32c(head)) || *size > bytes.size()) return std::nullopt;
  const std::string_view data = bytes.substr(0, *size);
  bytes.remove_prefix(*size);
  const auto crc = TakeFixed<uint32_t>(bytes);
  return crc == MaskCrc(Crc32c(data)) ? std::optional(data) : std::nullopt;
}

// True if the run that goes on from `step` writes this event, as EventWriter writes events, again.
bool ComesAgain(std::string_view event, uint64_t step) {
  event.remove_prefix(std::min<size_t>(event.size(), 1 + sizeof(double) + 1));  // keys and time
  const auto at = TakeVarint(event);
  if (!at || *at < step) return false;
  const bool validation = event.find(kValidationTag) != std::string_view::npos;
  return *at > step || validation;
}

// The bytes of the file that stay.
size_t BytesBefore(std::string_view bytes, uint64_t step) {
  const size_t all = bytes.size();
  size_t kept = 0;
  while (const auto record = TakeRecord(bytes)) {
    if (ComesAgain(*record, step)) break;
    kept = all - bytes.size();
  }
  return kept;
}

}  // namespace

bool IsEventFile(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return false;
  if (name.size() <= kPrefix.size() + kSuffix.size()) return false;
  const std::string_view number =
      name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  return number.find_first_not_of("0123456789") == std::string_view::npos;
}

Status CutEvents(const std::string& folder, uint64_t step) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (!IsEventFile(it->path().filename().string())) continue;
    const std::string path = it->path().string();
    size_t size = 0, kept = 0;
    {
      GOLF_ASSIGN(const MappedFile file, MappedFile::Open(path));
      const auto* text = reinterpret_cast<const char*>(file.bytes().data());
      size = file.bytes().size();
      kept = BytesBefore({text, size}, step);
    }
    if (kept == size) continue;
    GOLF_ASSIGN(GrowingFile file, GrowingFile::Open(path));
    GOLF_TRY(file.CutAt(kept));
  }
  if (error) return {Code::kIo, folder + ": cannot list: " + error.message()};
  return {};
}

uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) crc = kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

Result<EventWriter> EventWriter::Create(const std::string& folder) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count();
  const auto path = [&] { return fmt::format("{}/{}{}{}", folder, kPrefix, seconds, kSuffix); };
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
