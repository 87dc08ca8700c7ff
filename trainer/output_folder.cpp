#include "trainer/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "artifact/checkpoint_layout.h"
#include "artifact/file.h"
#include "trainer/event_writer.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCheckpoint = ".ckpt", kDamaged = ".damaged", kLog = "log.jsonl",
                           kLock = ".lock";

bool IsNumber(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string CheckpointName(uint64_t step) { return fmt::format("step-{:08}{}", step, kCheckpoint); }

// Takes `prefix` off the text if it begins with it.
bool Skip(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// What follows the name of a checkpoint in `name`; nothing if `name` does not begin with one.
std::optional<std::string_view> AfterCheckpoint(std::string_view name) {
  const std::string_view whole = name;
  if (!Skip(name, "step-")) return std::nullopt;
  uint64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || !whole.starts_with(CheckpointName(step))) return std::nullopt;
  return whole.substr(CheckpointName(step).size());
}

bool IsCheckpoint(std::string_view name) { return AfterCheckpoint(name) == ""; }

bool IsDamaged(std::string_view name) {
  std::optional<std::string_view> rest = AfterCheckpoint(name);
  if (!rest || !Skip(*rest, kDamaged)) return false;
  return rest->empty() || (Skip(*rest, ".") && IsNumber(*rest));
}

// Of a checkpoint that was being written.
bool IsTemporary(const std::string& name) {
  const std::optional<std::string_view> rest = AfterCheckpoint(name);
  return rest && !rest->empty() &&
         name == TemporaryName(name.substr(0, name.size() - rest->size()));
}

// True if the file begins with `bytes`, or is the beginning of them (its write was interrupted).
Result<bool> BeginsWith(const std::string& path, std::string_view bytes) {
  GOLF_ASSIGN(const MappedFile file, MappedFile::Open(path));
  const size_t common = std::min(file.bytes().size(), bytes.size());
  return std::ranges::equal(file.bytes().first(common),
                            AsBytes(std::string(bytes.substr(0, common))));
}

// Whether a file of a reserved name holds what a run writes there.
Result<bool> IsOurs(const std::string& folder, const std::string& name) {
  const std::string path = fmt::format("{}/{}", folder, name);
  if (name == kLog) return BeginsWith(path, "{\"event\":");
  if (!IsCheckpoint(name) && !IsDamaged(name)) return IsEventFile(name);
  return BeginsWith(path, {kCheckpointMagic.data(), kCheckpointMagic.size()});
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
  const std::string lock_path = fmt::format("{}/{}", path, kLock);
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
    if (IsTemporary(name)) GOLF_TRY(folder.Remove(name));
  }
  return folder;
}

bool OutputFolder::IsReserved(const std::string& name) {
  return IsCheckpoint(name) || IsDamaged(name) || IsTemporary(name) || IsEventFile(name) ||
         name == kLog || name == kLock;
}

Status OutputFolder::RefuseForeignFiles(bool resumes) const {
  GOLF_ASSIGN(const std::vector<std::string> names, Names());
  for (const std::string& name : names) {
    if (name != kLog && (resumes || !IsCheckpoint(name))) continue;
    GOLF_ASSIGN(const bool ours, IsOurs(path_, name));
    if (!ours) {
      return {Code::kUsage,
              fmt::format("{}/{} is in the way and not golf-train's; move it, or choose "
                          "another --out",
                          path_, name)};
    }
  }
  return {};
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
    std::string aside = path + std::string(kDamaged);
    for (int n = 2; fs::exists(fs::symlink_status(aside)); ++n)
      aside = fmt::format("{}{}.{}", path, kDamaged, n);
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
  const std::string path = fmt::format("{}/{}", path_, CheckpointName(step));
  GOLF_TRY(WriteCheckpoint(path, contents));
  GOLF_ASSIGN(const std::vector<std::string> paths, Checkpoints());
  for (size_t i = std::max<size_t>(keep, 1); i < paths.size(); ++i) {
    const std::string name = fs::path(paths[i]).filename().string();
    GOLF_ASSIGN(const bool ours, IsOurs(path_, name));
    if (ours) GOLF_TRY(Remove(name));
  }
  return path;
}

Status OutputFolder::Clear() const {
  GOLF_ASSIGN(const std::vector<std::string> names, Names());
  for (const std::string& name : names) {
    if (name == kLock || !IsReserved(name)) continue;
    GOLF_ASSIGN(const bool ours, IsOurs(path_, name));
    if (ours) GOLF_TRY(Remove(name));
  }
  return {};
}

}  // namespace golf
