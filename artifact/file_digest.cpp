#include "artifact/file_digest.h"

#include "artifact/sha256.h"

namespace golf {

Result<FileDigest> DigestOfFile(const std::string& path) {
  Sha256 hash;
  FileDigest digest;
  GOLF_TRY(ReadInPieces(path, [&](std::span<const uint8_t> piece) {
    hash.Update(piece);
    digest.bytes += piece.size();
  }));
  digest.sha256 = ToHex(hash.Finish());
  return digest;
}

}  // namespace golf
