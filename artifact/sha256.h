// SHA-256 (FIPS 180-4), incremental. Uses the CPU's SHA instructions where there are any; the digest is the same.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

class MappedFile;

using Sha256Digest = std::array<uint8_t, 32>;

class Sha256 {
 public:
  Sha256();
  void Update(std::span<const uint8_t> bytes);
  Sha256Digest Finish();  // once; the object is spent afterwards

  static Sha256Digest Of(std::span<const uint8_t> bytes);
  // Of the mapped bytes. What was read does not stay resident, so that a large file costs no memory.
  static Sha256Digest OfMapped(const MappedFile& file);

 private:
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> block_;
  uint64_t length_ = 0;  // bytes so far
};

// Lower-case hexadecimal.
std::string ToHex(std::span<const uint8_t> bytes);
// False if `text` is not pairs of hexadecimal digits.
bool FromHex(std::string_view text, std::vector<uint8_t>& bytes);

// Hexadecimal digest of a file's contents.
Result<std::string> Sha256OfFile(const std::string& path);

}  // namespace golf
