#include "artifact/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "artifact/file_digest.h"
#include "artifact/sha256.h"

namespace golf {
namespace {

Status IoError(const std::string& path, const char* action) {
  return {Code::kIo, path + ": cannot " + action + ": " + std::strerror(errno)};
}

// A descriptor that is closed on the way out.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// O_NONBLOCK: a pipe without a writer is opened, found to be no regular file and refused; it does not hang.
constexpr int kReading = O_RDONLY | O_NONBLOCK;

int OpenRetrying(const char* path, int flags, mode_t mode = 0) {
  int fd;
  do {
    fd = ::open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

int SyncRetrying(int fd) {
  int rc;
  do {
    rc = ::fsync(fd);
  } while (rc != 0 && errno == EINTR);
  return rc;
}

// The size of an open regular file.
Result<size_t> RegularFileSize(int fd, const std::string& path) {
  struct stat info;
  if (::fstat(fd, &info) != 0) return IoError(path, "stat");
  if (!S_ISREG(info.st_mode)) return Status{Code::kIo, path + ": not a regular file"};
  return static_cast<size_t>(info.st_size);
}

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// Of what is there; nothing if there is no such file.
Result<std::optional<mode_t>> ModeOf(const Destination& destination) {
  struct stat info;
  if (::stat(destination.path.c_str(), &info) == 0) return std::optional<mode_t>(info.st_mode);
  if (errno != ENOENT) return IoError(destination.path, "write");
  return std::optional<mode_t>();
}

int LockRetrying(int fd) {
  int rc;
  do {
    rc = ::flock(fd, LOCK_EX | LOCK_NB);
  } while (rc != 0 && errno == EINTR);
  return rc;
}

int TruncateRetrying(int fd, off_t bytes) {
  int rc;
  do {
    rc = ::ftruncate(fd, bytes);
  } while (rc != 0 && errno == EINTR);
  return rc;
}

Status WriteAll(int fd, const std::string& path, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), std::min<size_t>(bytes.size(), 1 << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path, "write");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::string& path) {
  const Descriptor d{OpenRetrying(path.c_str(), kReading)};
  if (d.fd < 0) return IoError(path, "open");
  GOLF_ASSIGN(const size_t size, RegularFileSize(d.fd, path));
  MappedFile file;
  file.path_ = path;
  if (size > 0) {
    void* p = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, d.fd, 0);
    if (p == MAP_FAILED) return IoError(path, "map");
    file.bytes_ = {static_cast<const uint8_t*>(p), size};
  }
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

Result<std::vector<uint8_t>> ReadFile(const std::string& path, size_t max_bytes) {
  const Descriptor d{OpenRetrying(path.c_str(), kReading)};
  if (d.fd < 0) return IoError(path, "open");
  GOLF_ASSIGN(const size_t size, RegularFileSize(d.fd, path));
  if (size > max_bytes) {
    return Status{Code::kBadData, path + ": " + std::to_string(size) + " bytes, expected at most " +
                                      std::to_string(max_bytes)};
  }
  std::vector<uint8_t> bytes(size);
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::read(d.fd, bytes.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path, "read");
    if (n == 0) return Status{Code::kIo, path + ": became shorter while it was read"};
    done += static_cast<size_t>(n);
  }
  return bytes;
}

Status ReadInPieces(const std::string& path,
                    const std::function<void(std::span<const uint8_t>)>& take) {
  const Descriptor d{OpenRetrying(path.c_str(), kReading)};
  if (d.fd < 0) return IoError(path, "open");
  GOLF_TRY(RegularFileSize(d.fd, path).status());
  std::vector<uint8_t> piece(size_t{1} << 20);
  for (;;) {
    const ssize_t n = ::read(d.fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path, "read");
    if (n == 0) return {};
    take({piece.data(), static_cast<size_t>(n)});
  }
}

Result<Destination> FindDestination(const std::string& path) {
  namespace fs = std::filesystem;
  constexpr int kMostLinks = 40;  // as the system follows
  Destination destination{path};
  for (int links = 0; links < kMostLinks; ++links) {
    const fs::path at = destination.path;
    std::error_code error;
    if (!fs::is_symlink(fs::symlink_status(at, error))) return destination;
    const fs::path folder = at.has_parent_path() ? at.parent_path() : ".";
    if (fs::canonical(folder, error) == "/proc/" + std::to_string(::getpid()) + "/fd") {
      const std::string number = at.filename().string();
      std::from_chars(number.data(), number.data() + number.size(), destination.descriptor);
      return Destination{path, destination.descriptor};
    }
    const fs::path target = fs::read_symlink(at, error);
    if (error) return Status{Code::kIo, path + ": cannot follow the link: " + error.message()};
    destination.path = (target.is_absolute() ? target : at.parent_path() / target).string();
  }
  errno = ELOOP;
  return IoError(path, "follow the link");
}

Status CheckWritable(const std::string& given) {
  GOLF_ASSIGN(const Destination destination, FindDestination(given));
  if (destination.descriptor >= 0) {
    const int flags = ::fcntl(destination.descriptor, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_RDONLY) errno = EBADF;
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY ? Status() : IoError(given, "write");
  }
  const std::string& path = destination.path;
  GOLF_ASSIGN(const std::optional<mode_t> mode, ModeOf(destination));
  if (mode && S_ISDIR(*mode)) return {Code::kIo, path + ": is a folder, expected a file to write"};
  if (mode && ::access(path.c_str(), W_OK) != 0) return IoError(path, "write");
  if (mode && !S_ISREG(*mode)) return {};
  const std::string folder = FolderOf(path);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return IoError(folder, "write into the folder");
  return {};
}

std::string TemporaryName(const std::string& path) {
  constexpr std::string_view kSuffix = ".golf.partial";
  const std::string name = std::filesystem::path(path).filename().string();
  const long system_limit = ::pathconf(FolderOf(path).c_str(), _PC_NAME_MAX);
  const size_t limit = system_limit > 0 ? static_cast<size_t>(system_limit) : 255;
  if (name.size() + kSuffix.size() <= limit) return path + std::string(kSuffix);
  // What the cut takes away is told apart by a hash.
  const Sha256Digest digest = Sha256::Of(AsBytes(name));
  std::string ending(".");
  ending.append(ToHex({digest.data(), 8})).append(kSuffix);
  size_t end = limit - std::min(limit, ending.size());
  while (end > 0 && (static_cast<uint8_t>(name[end]) & 0xC0) == 0x80) --end;  // not in a character
  return path.substr(0, path.size() - name.size() + end) + ending;
}

AtomicFile::AtomicFile(std::string path, std::string temporary, int descriptor)
    : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());  // before close: the lock is still ours
  ::close(descriptor_);
}

Result<AtomicFile> AtomicFile::OpenDirectly(const Destination& destination) {
  const std::string& path = destination.path;
  const int fd = destination.descriptor < 0 ? OpenRetrying(path.c_str(), O_WRONLY)
                                            : ::fcntl(destination.descriptor, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return IoError(path, "open");
  return AtomicFile(path, "", fd);
}

Result<AtomicFile> AtomicFile::Create(const std::string& given) {
  GOLF_ASSIGN(const Destination destination, FindDestination(given));
  GOLF_ASSIGN(const std::optional<mode_t> before, ModeOf(destination));
  if (destination.descriptor >= 0 || (before && !S_ISREG(*before)))
    return OpenDirectly(destination);
  const std::string& path = destination.path;
  const std::string temporary = TemporaryName(path);
  // The lock belongs to the inode. If another writer renamed or removed it between open and flock, try again.
  for (int attempt = 0; attempt < 16; ++attempt) {
    Descriptor d{OpenRetrying(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666)};
    const bool created = d.fd >= 0;
    if (!created && errno == EEXIST)
      d.fd = OpenRetrying(temporary.c_str(), O_WRONLY | O_CREAT, 0666);
    if (d.fd < 0) return IoError(temporary, "create");
    const auto fault = [&](const char* action) {
      Status error = IoError(temporary, action);
      if (created) ::unlink(temporary.c_str());  // what was there may be another writer's
      return error;
    };
    if (LockRetrying(d.fd) != 0) {
      if (errno != EWOULDBLOCK) return fault("lock");
      return Status{Code::kBusy, path + ": another process is writing this file"};
    }
    struct stat opened, named;
    if (::fstat(d.fd, &opened) != 0) return fault("stat");
    if (::stat(temporary.c_str(), &named) != 0) {
      if (errno != ENOENT) return fault("stat");
      continue;
    }
    if (opened.st_ino != named.st_ino) continue;
    AtomicFile file(path, temporary, std::exchange(d.fd, -1));  // it is ours now, to remove as well
    if (TruncateRetrying(file.descriptor_, 0) != 0) return IoError(temporary, "truncate");
    // The new file is as private as the one that it replaces. Not every file system keeps modes.
    if (before) static_cast<void>(::fchmod(file.descriptor_, *before & 07777));
    return file;
  }
  return Status{Code::kBusy, path + ": another process is writing this file"};
}

Status AtomicFile::Write(std::span<const uint8_t> bytes) {
  return WriteAll(descriptor_, temporary_.empty() ? path_ : temporary_, bytes);
}

Status AtomicFile::Commit() {
  if (temporary_.empty()) {
    if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR)
      return IoError(path_, "write");
    return {};
  }
  if (SyncRetrying(descriptor_) != 0) return IoError(temporary_, "sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return IoError(path_, "rename into place");
  ::close(std::exchange(descriptor_, -1));
  return SyncFolder(FolderOf(path_));
}

Status WriteFileAtomically(const std::string& path, std::span<const uint8_t> bytes) {
  GOLF_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  GOLF_TRY(file.Write(bytes));
  return file.Commit();
}

GrowingFile::GrowingFile(std::string path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}

GrowingFile::GrowingFile(GrowingFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

GrowingFile& GrowingFile::operator=(GrowingFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

GrowingFile::~GrowingFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<GrowingFile> GrowingFile::Open(const std::string& path) {
  const int fd = OpenRetrying(path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0666);
  if (fd < 0) return IoError(path, "open");
  return GrowingFile(path, fd);
}

Status GrowingFile::CutUnfinishedLine() {
  GOLF_ASSIGN(const size_t size, RegularFileSize(descriptor_, path_));
  size_t end = size;
  while (end > 0) {
    char last = 0;
    const ssize_t n = ::pread(descriptor_, &last, 1, static_cast<off_t>(end - 1));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path_, "read");
    if (last == '\n') break;
    --end;
  }
  return CutAt(end);
}

Status GrowingFile::CutAt(size_t size) {
  GOLF_ASSIGN(const size_t before, RegularFileSize(descriptor_, path_));
  if (size < before && TruncateRetrying(descriptor_, static_cast<off_t>(size)) != 0)
    return IoError(path_, "truncate");
  return {};
}

Status GrowingFile::Append(std::span<const uint8_t> bytes) {
  return WriteAll(descriptor_, path_, bytes);
}

Status SyncFolder(const std::string& folder) {
  const std::string path = folder.empty() ? "." : folder;
  const Descriptor d{OpenRetrying(path.c_str(), O_RDONLY | O_DIRECTORY)};
  if (d.fd < 0) return IoError(path, "open the folder");
  // Some file systems have no fsync for folders and say EINVAL; names are then as durable as they get.
  if (SyncRetrying(d.fd) != 0 && errno != EINVAL) return IoError(path, "sync the folder");
  return {};
}

}  // namespace golf
