// Files: read-only maps, bounded reads, and writes that either happen completely or not at all. Every failure is kIo with
// the path and the system's reason; EINTR and short transfers are retried.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

// A whole file mapped read-only. Movable; bytes() stays valid until destruction. An empty file has empty bytes.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  MappedFile() = default;
  std::string path_;
  std::span<const uint8_t> bytes_;
};

// The bytes of a regular file, read once into memory, so that what was checked is what is used. A file longer than
// max_bytes is refused (kBadData) before anything is allocated.
Result<std::vector<uint8_t>> ReadFile(const std::string& path, size_t max_bytes);

// Where writing to a path leads: symbolic links are followed, also to a file that is not there yet.
struct Destination {
  std::string path;
  int descriptor =
      -1;  // the open descriptor of this process that the path names (/dev/stdout, /dev/fd/3)
};
Result<Destination> FindDestination(const std::string& path);

// kIo if FindDestination(path) can be seen to be unwritable before anything is written: a folder, a
// folder that is missing, no permission, a name that is too long. kOk if it is there or can be made.
Status CheckWritable(const std::string& path);

// The name under which a file is written before it takes its final name: "<path>.golf.partial",
// shortened to fit the file system's limit. No other program gives a file such a name.
std::string TemporaryName(const std::string& path);

// A new file under its TemporaryName that takes its final name on Commit: fsync, rename, fsync of the
// folder. Until then, and if never committed, an existing file of the final name is untouched; the
// destructor removes the temporary one. After a crash the temporary file may remain; the next write
// of the same path replaces it. Two writers of one path: the second gets kBusy. A symbolic link stays
// and the file that it names is replaced. Devices, pipes and descriptors are written to directly.
class AtomicFile {
 public:
  static Result<AtomicFile> Create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) = delete;
  ~AtomicFile();

  Status Write(std::span<const uint8_t> bytes);
  Status Commit();

 private:
  AtomicFile(std::string path, std::string temporary, int descriptor);
  static Result<AtomicFile> OpenDirectly(const Destination& destination);

  std::string path_;       // after following links
  std::string temporary_;  // empty: written to directly
  int descriptor_ = -1;
};

Status WriteFileAtomically(const std::string& path, std::span<const uint8_t> bytes);

// A file of records that grows at its end. A record is in the file when Append returns; one that was being written when
// the process died or the disk was full may be there in part.
class GrowingFile {
 public:
  // Makes the file where it is missing, and goes on at its end where it is not.
  static Result<GrowingFile> Open(const std::string& path);
  GrowingFile(GrowingFile&& other) noexcept;
  GrowingFile& operator=(GrowingFile&& other) noexcept;
  ~GrowingFile();

  // For files of lines: removes what stands after the last '\n'.
  Status CutUnfinishedLine();
  // Removes what stands after the first `size` bytes.
  Status CutAt(size_t size);
  Status Append(std::span<const uint8_t> bytes);
  const std::string& path() const { return path_; }

 private:
  GrowingFile(std::string path, int descriptor);
  std::string path_;
  int descriptor_ = -1;
};

// Makes the names in a folder durable: what was created, renamed or deleted there.
Status SyncFolder(const std::string& folder);

inline std::span<const uint8_t> AsBytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace golf
