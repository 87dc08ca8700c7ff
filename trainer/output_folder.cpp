#include "trainer/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace golf {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCheckpoint = ".ckpt", kDamaged = ".ckpt.damaged";

bool IsCheckpoint(std::string_view name) {
  return name.starts_with("step-") && name.ends_with(kCheckpoint);
}

bool IsDamaged(std::string_view name) {
  return name.starts_with("step-") && name.ends_with(kDamaged);
}

Status IoError(const std::string& path, const char* what, const std::string& why) {
  return {Code::kIo, fmt::format("{}: {}: {}", path, what, why)};
}

}  // namespace

void OutputFolder::Unlock::operator()(const int* descriptor) const {
  ::close(*descriptor);
  delete descriptor;
}

Result<OutputFolder> OutputFolder::Open(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return IoError(path, "cannot create the folder", error.message());
  const std::string lock_path = path + "/.lock";
  int lock;
  do {
    lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  } while (lock < 0 && errno == EINTR);
  if (lock < 0) return IoError(lock_path, "cannot open", std::strerror(errno));
  OutputFolder folder(path, lock);
  int locked;
  do {
    locked = ::flock(lock, LOCK_EX | LOCK_NB);
  } while (locked != 0 && errno == EINTR);
  if (locked != 0 && errno == EWOULDBLOCK) {
    return Status(Code::kBusy,
                  fmt::format("{}: another process trains into this folder; wait for it or "
                              "choose another --out",
                              path));
  }
  if (locked != 0) return IoError(lock_path, "cannot lock", std::strerror(errno));
  GOLF_ASSIGN(const std::vector<std::string> names, folder.Names());
  for (const std::string& name : names) {
    if (name.ends_with(".partial")) GOLF_TRY(folder.Remove(name));
  }
  return folder;
}

Result<std::vector<std::string>> OutputFolder::Names() const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path_, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return IoError(path_, "cannot list", error.message());
  return names;
}

Status OutputFolder::Remove(const std::string& name) const {
  const std::string file = fmt::format("{}/{}", path_, name);
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
    return IoError(file, "cannot delete", std::strerror(errno));
  }
  return {};
}

Result<std::vector<std::string>> OutputFolder::Checkpoints() const {
  GOLF_ASSIGN(std::vector<std::string> names, Names());
  std::erase_if(names, [](const std::string& name) { return !IsCheckpoint(name); });
  // Steps are zero-padded; a longer name is a later step.
  std::ranges::sort(names, [](const std::string& a, const std::string& b) {
    return std::pair(a.size(), std::string_view(a)) > std::pair(b.size(), std::string_view(b));
  });
  for (std::string& name : names) name = fmt::format("{}/{}", path_, name);
  return names;
}

Result<std::optional<Checkpoint>> OutputFolder::NewestCheckpoint(
    std::vector<Status>& damaged) const {
  GOLF_ASSIGN(const std::vector<std::string> paths, Checkpoints());
  for (const std::string& path : paths) {
    Result<Checkpoint> checkpoint = Checkpoint::Open(path);
    if (checkpoint.ok()) return std::optional(std::move(*checkpoint));
    if (checkpoint.status().code() != Code::kBadData) return checkpoint.status();
    damaged.push_back(checkpoint.status());
    const std::string aside =
        path.substr(0, path.size() - kCheckpoint.size()) + std::string(kDamaged);
    if (std::rename(path.c_str(), aside.c_str()) != 0) {
      return IoError(path, "cannot set the damaged checkpoint aside", std::strerror(errno));
    }
  }
  GOLF_ASSIGN(const std::vector<std::string> names, Names());
  const auto lost = std::ranges::find_if(names, IsDamaged);
  if (lost != names.end()) {
    return Status(Code::kBadData,
                  fmt::format("{}: every checkpoint is damaged and was set aside ({} ...); "
                              "bring a copy back, or start anew with --fresh",
                              path_, *lost));
  }
  return std::optional<Checkpoint>();
}

Result<std::string> OutputFolder::Save(uint64_t step, const CheckpointContents& contents,
                                       size_t keep) const {
  const std::string path = fmt::format("{}/step-{:08}{}", path_, step, kCheckpoint);
  GOLF_TRY(WriteCheckpoint(path, contents));
  GOLF_ASSIGN(const std::vector<std::string> paths, Checkpoints());
  for (size_t i = std::max<size_t>(keep, 1); i < paths.size(); ++i) {
    GOLF_TRY(Remove(fs::path(paths[i]).filename().string()));
  }
  return path;
}

Status OutputFolder::Clear() const {
  GOLF_ASSIGN(const std::vector<std::string> names, Names());
  for (const std::string& name : names) {
    const bool ours = IsCheckpoint(name) || IsDamaged(name) || name == "log.jsonl" ||
                      name.starts_with("events.out.tfevents.");
    if (ours) GOLF_TRY(Remove(name));
  }
  return {};
}

}  // namespace golf
