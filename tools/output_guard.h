// Checks, before any work, that no output of a program lands on one of its inputs or on another
// output, and that every output can be written.
#pragma once
#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

// A path of the command line and what names it there ("--receipt", "the artifact").
struct NamedPath {
  std::string name, path;  // an empty path: not given
};

// Files are told apart by device and inode, so that links lead nowhere else; a file that is not there
// yet by its folder and name. Inputs may also be folders of shards and patterns, with which the
// tokenizer and the description beside the shards count. Devices and pipes may be named twice. The
// files that stdout and stderr are redirected to count as outputs too.
// kUsage if two of them are the same file, kIo if an output cannot be written.
Status CheckOutputs(const std::vector<NamedPath>& outputs, const std::vector<NamedPath>& inputs);

// `paths` under one name.
std::vector<NamedPath> NamedPaths(const std::string& name, const std::vector<std::string>& paths);

}  // namespace golf
