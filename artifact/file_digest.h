// Bytes and hash of a file, read once and to its end.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "kernels/base/status.h"

namespace golf {

struct FileDigest {
  std::string sha256;  // hexadecimal
  uint64_t bytes = 0;  // that were read, whatever size the file system states
};

Result<FileDigest> DigestOfFile(const std::string& path);

// Hands the bytes of a regular file to `take`, piece by piece, until a read finds no more: the files of /proc state a size
// of 0. kIo with the path and the system's reason.
Status ReadInPieces(const std::string& path,
                    const std::function<void(std::span<const uint8_t>)>& take);

}  // namespace golf
