#include "artifact/sha256.h"

#include <sys/mman.h>

#include <algorithm>
#include <charconv>

#include "artifact/file.h"
#include "artifact/sha256_compress.h"

namespace golf {

Sha256::Sha256()
    : state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} {}

void Sha256::Update(std::span<const uint8_t> bytes) {
  static const Sha256Compress compress = FastestSha256Compress();
  const size_t held = length_ % 64;
  length_ += bytes.size();
  if (held > 0) {
    const size_t n = std::min(bytes.size(), 64 - held);
    std::copy_n(bytes.begin(), n, block_.begin() + static_cast<ptrdiff_t>(held));
    bytes = bytes.subspan(n);
    if (held + n < 64) return;
    compress(state_.data(), block_.data(), 1);
  }
  const size_t whole = bytes.size() / 64;
  compress(state_.data(), bytes.data(), whole);
  bytes = bytes.subspan(whole * 64);
  std::copy(bytes.begin(), bytes.end(), block_.begin());
}

Sha256Digest Sha256::Finish() {
  const uint64_t bits = length_ * 8;
  std::array<uint8_t, 72> tail{0x80};
  const size_t padding =
      (length_ % 64 < 56 ? 56 : 120) - length_ % 64;  // to 8 bytes before the end of a block
  for (size_t i = 0; i < 8; ++i) tail[padding + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
  Update({tail.data(), padding + 8});
  Sha256Digest digest;
  for (size_t i = 0; i < 32; ++i)
    digest[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

Sha256Digest Sha256::Of(std::span<const uint8_t> bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

Sha256Digest Sha256::OfMapped(const MappedFile& file) {
  constexpr size_t kPiece = 1 << 22;  // a multiple of any page
  Sha256 hash;
  for (std::span<const uint8_t> rest = file.bytes(); !rest.empty();) {
    const std::span<const uint8_t> piece = rest.first(std::min(rest.size(), kPiece));
    hash.Update(piece);
    // Clean pages of a file: they stay in the system's cache. Where this fails they stay here, too.
    ::madvise(const_cast<uint8_t*>(piece.data()), piece.size(), MADV_DONTNEED);
    rest = rest.subspan(piece.size());
  }
  return hash.Finish();
}

std::string ToHex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t b : bytes) {
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return text;
}

bool FromHex(std::string_view text, std::vector<uint8_t>& bytes) {
  if (text.size() % 2 != 0) return false;
  bytes.assign(text.size() / 2, 0);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char* pair = text.data() + 2 * i;
    if (std::from_chars(pair, pair + 2, bytes[i], 16).ptr != pair + 2) return false;
  }
  return true;
}

Result<std::string> Sha256OfFile(const std::string& path) {
  GOLF_ASSIGN(const MappedFile file, MappedFile::Open(path));
  return ToHex(Sha256::OfMapped(file));
}

}  // namespace golf
