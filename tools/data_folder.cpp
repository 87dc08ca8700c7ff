#include "tools/data_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "artifact/file.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMarker = ".golf-data";  // says that a ".partial" folder is ours
constexpr size_t kLongestName = 255;

Status IoError(const fs::path& path, const char* action, const std::string& why) {
  return {Code::kIo, fmt::format("{}: cannot {}: {}", path.string(), action, why)};
}

// Where a path leads in the end: a rename would replace a link, not the folder behind it.
Result<fs::path> Resolve(const std::string& path) {
  fs::path folder = fs::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "data/"
  std::error_code error;
  if (fs::exists(folder, error)) {
    folder = fs::canonical(folder, error);
    if (error) return IoError(path, "open", error.message());
  } else if (fs::is_symlink(folder, error)) {
    return Status(Code::kUsage, path + " is a link that leads nowhere; choose another name");
  }
  return folder;
}

// `name` stands in messages.
Status CheckIsFree(const fs::path& folder, const std::string& name) {
  std::error_code error;
  if (!fs::exists(folder, error)) return {};
  if (!fs::is_directory(folder, error)) return {Code::kUsage, name + " is not a folder"};
  if (!fs::is_empty(folder, error)) {
    return {Code::kUsage, name + " is not empty; shards of two data sets must not mix"};
  }
  return {};
}

fs::path PartialName(const fs::path& folder) {
  constexpr std::string_view kEnding = ".partial";
  std::string name = folder.filename().string();
  name.resize(std::min(name.size(), kLongestName - kEnding.size()));
  return folder.parent_path() / name.append(kEnding);
}

// The marker goes last: what is left if a removal fails is still known to be ours.
Status Remove(std::vector<fs::path> paths) {
  std::ranges::partition(paths, [](const fs::path& path) { return path.filename() != kMarker; });
  for (const fs::path& path : paths) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return IoError(path, "remove", error.message());
  }
  return {};
}

// Removes what a run that was killed left.
Status Clear(const fs::path& partial) {
  std::error_code error;
  std::vector<fs::path> remains;
  bool ours = false;
  for (fs::directory_iterator it(partial, error), end; !error && it != end; it.increment(error)) {
    ours = ours || it->path().filename() == kMarker;
    remains.push_back(it->path());
  }
  if (error) return IoError(partial, "list", error.message());
  if (!remains.empty() && !ours) {
    return {Code::kUsage, partial.string() +
                              " is in the way and not golf-data's; move it, or choose "
                              "another --output"};
  }
  return Remove(std::move(remains));
}

}  // namespace

void NewFolder::Unlock::operator()(const int* descriptor) const {
  ::close(*descriptor);
  delete descriptor;
}

Result<NewFolder> NewFolder::Create(const std::string& path) {
  NewFolder folder;
  GOLF_ASSIGN(folder.final_, Resolve(path));
  GOLF_TRY(CheckIsFree(folder.final_, path));
  const fs::path partial = PartialName(folder.final_);
  std::error_code error;
  if (const fs::path parent = partial.parent_path(); !parent.empty()) {
    fs::create_directories(parent, error);
    if (error) return IoError(parent, "make the folder", error.message());
  }
  const Status busy(Code::kBusy, path +
                                     ": another process is making this folder; wait for it, or "
                                     "choose another --output");
  // The lock belongs to the inode. If another process renamed or removed it before it was ours, try again.
  for (int attempt = 0; attempt < 16; ++attempt) {
    if (::mkdir(partial.c_str(), 0777) != 0 && errno != EEXIST)
      return IoError(partial, "make the folder", std::strerror(errno));
    const int lock = ::open(partial.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (lock < 0 && (errno == ENOENT || errno == EINTR)) continue;
    if (lock < 0) return IoError(partial, "open the folder", std::strerror(errno));
    folder.lock_.reset(new int(lock));
    int locked;
    do {
      locked = ::flock(lock, LOCK_EX | LOCK_NB);
    } while (locked != 0 && errno == EINTR);
    if (locked != 0) {
      if (errno == EWOULDBLOCK) return busy;
      return IoError(partial, "lock the folder", std::strerror(errno));
    }
    struct stat opened, named;
    if (::fstat(lock, &opened) != 0) return IoError(partial, "stat", std::strerror(errno));
    if (::lstat(partial.c_str(), &named) != 0 || opened.st_ino != named.st_ino) continue;
    if (Status free = CheckIsFree(folder.final_, path); !free.ok()) {  // another finished meanwhile
      ::rmdir(partial.c_str());
      return free;
    }
    GOLF_TRY(Clear(partial));
    folder.partial_ = partial;  // it is ours now, to remove as well
    GOLF_TRY(WriteFileAtomically((partial / kMarker).string(), {}));
    return folder;
  }
  return busy;
}

NewFolder::~NewFolder() {
  if (!lock_ || partial_.empty()) return;
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::directory_iterator it(partial_, error), end; !error && it != end; it.increment(error))
    paths.push_back(it->path());
  if (!error && Remove(std::move(paths)).ok()) fs::remove(partial_, error);
}

Status NewFolder::Commit() {
  std::error_code error;
  fs::remove(partial_ / kMarker, error);
  if (!error) fs::rename(partial_, final_, error);
  if (error) return IoError(final_, "rename into place", error.message());
  lock_.reset();
  return SyncFolder(final_.parent_path().string());
}

}  // namespace golf
