#include "tools/output_guard.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <compare>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "artifact/file.h"
#include "artifact/token_shard.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

struct Identity {
  dev_t device;
  ino_t inode;
  std::string name;  // of a file that is not there yet, in the folder of this device and inode
  auto operator<=>(const Identity&) const = default;
};

// Nothing for devices and pipes, and where there is not even a folder.
std::optional<Identity> IdentityOf(const struct stat& info, const std::string& name = "") {
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return std::nullopt;
  return Identity{info.st_dev, info.st_ino, name};
}

std::optional<Identity> IdentityOf(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) == 0) return IdentityOf(info);
  const Result<Destination> destination = FindDestination(path);
  if (!destination.ok()) return std::nullopt;
  const fs::path at = destination->path;
  const fs::path folder = at.has_parent_path() ? at.parent_path() : ".";
  if (::stat(folder.c_str(), &info) != 0) return std::nullopt;
  return IdentityOf(info, at.filename().string());
}

// The files that an input argument stands for. What is not there is for its reader to say.
std::set<std::string> FilesOf(const std::string& argument) {
  const Result<std::vector<std::string>> listed = ListShards(argument);
  if (!listed.ok()) return {argument};
  std::set<std::string> files(listed->begin(), listed->end());
  for (const std::string& file : *listed) {
    if (!file.ends_with(".bin")) continue;
    const fs::path folder = fs::path(file).parent_path();
    for (const char* beside : {"tokenizer.model", "dataset.json"})
      files.insert((folder / beside).string());
  }
  return files;
}

std::string Described(const NamedPath& named) {
  return named.path.empty() ? named.name : named.name + " " + named.path;
}

}  // namespace

Status CheckOutputs(const std::vector<NamedPath>& outputs, const std::vector<NamedPath>& inputs) {
  std::map<Identity, NamedPath> taken;
  for (const NamedPath& input : inputs) {
    if (input.path.empty()) continue;
    for (const std::string& file : FilesOf(input.path)) {
      if (const auto identity = IdentityOf(file))
        taken.try_emplace(*identity, NamedPath{input.name, file});
    }
  }
  const auto conflict = [&](const NamedPath& output, const NamedPath& other) {
    return Status(
        Code::kUsage,
        fmt::format("{} is the same file as {} and would overwrite it; choose another name",
                    Described(output), Described(other)));
  };
  std::map<Identity, NamedPath> streams;  // may be one file, as in "> log 2>&1"
  for (const int descriptor : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat info;
    if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const NamedPath stream = {descriptor == STDOUT_FILENO ? "standard output" : "standard error",
                              ""};
    const auto found = taken.find(*IdentityOf(info));
    if (found != taken.end()) return conflict(stream, found->second);
    streams.try_emplace(*IdentityOf(info), stream);
  }
  for (const NamedPath& output : outputs) {
    if (output.path.empty()) continue;
    const auto identity = IdentityOf(output.path);
    if (!identity) continue;
    const auto [found, is_free] = taken.try_emplace(*identity, output);
    if (!is_free) return conflict(output, found->second);
    GOLF_ASSIGN(const Destination destination, FindDestination(output.path));
    const auto stream = streams.find(*identity);
    if (stream != streams.end() && destination.descriptor < 0)
      return conflict(output, stream->second);
  }
  for (const NamedPath& output : outputs) {
    if (!output.path.empty()) GOLF_TRY(CheckWritable(output.path));
  }
  return {};
}

std::vector<NamedPath> NamedPaths(const std::string& name, const std::vector<std::string>& paths) {
  std::vector<NamedPath> named;
  for (const std::string& path : paths) named.push_back({name, path});
  return named;
}

}  // namespace golf
