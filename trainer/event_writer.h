// TensorBoard event files: scalars over steps. A file is a sequence of TFRecords (u64 length, masked CRC-32C of the
// length, data, masked CRC-32C of the data; little-endian), each holding one serialised tensorflow.Event message:
// wall_time (1, double), step (2, varint), file_version (3, string) or summary (5) of value (1) with tag (1) and
// simple_value (2, float).
// Sources: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, framework/summary.proto.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "artifact/file.h"
#include "kernels/base/status.h"

namespace golf {

// CRC-32C (Castagnoli) of the bytes, and TensorFlow's mask of it.
uint32_t Crc32c(std::string_view bytes);
inline uint32_t MaskCrc(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; }

// Tags of validation begin so.
inline constexpr std::string_view kValidationTag = "validation_";

// True for the names of files that EventWriter makes.
bool IsEventFile(std::string_view name);

// Cuts, from every event file of the folder, the events that a run which goes on from `step` (updates
// made) writes again: those of later steps, and the validation of that step. Files that are not whole
// TFRecords are cut behind the last whole one.
Status CutEvents(const std::string& folder, uint64_t step);

class EventWriter {
 public:
  // Creates <folder>/events.out.tfevents.<seconds>.golf (another name if that exists) and writes its version record.
  static Result<EventWriter> Create(const std::string& folder);

  // In the file at once; kIo names it.
  Status AddScalars(uint64_t step, std::span<const std::pair<std::string_view, double>> scalars);
  const std::string& path() const { return file_.path(); }

 private:
  explicit EventWriter(GrowingFile file) : file_(std::move(file)) {}
  Status WriteRecord(const std::string& data);

  GrowingFile file_;
};

}  // namespace golf
