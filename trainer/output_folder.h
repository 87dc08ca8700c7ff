// The folder of one training run: step-00000500.ckpt, ..., log.jsonl, TensorBoard events, and a lock that only one
// process can hold.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "artifact/checkpoint.h"
#include "kernels/base/status.h"

namespace golf {

class OutputFolder {
 public:
  // Creates the folder where it is missing and locks it until destruction; kBusy if another process
  // has it. Remains of an interrupted write of a checkpoint are removed.
  static Result<OutputFolder> Open(const std::string& path);

  // True for the names of files that a run writes into its folder.
  static bool IsReserved(const std::string& name);

  // kUsage if the log or a checkpoint in the folder does not begin as a run writes it: the new run
  // would add to it or replace it. A run that resumes takes such a checkpoint for a damaged one.
  Status RefuseForeignFiles(bool resumes) const;

  const std::string& path() const { return path_; }
  // Checkpoint files, newest (highest step) first.
  Result<std::vector<std::string>> Checkpoints() const;

  // The newest checkpoint that is whole; nothing where there is none. Damaged ones before it are
  // renamed to "<name>.damaged" ("<name>.damaged.2" and so on, if that is taken), so that they are
  // neither tried again nor counted, and described in `damaged`. kBadData if damaged ones are all
  // there is: a run that was to go on must not start from nothing.
  Result<std::optional<Checkpoint>> NewestCheckpoint(std::vector<Status>& damaged) const;

  // Writes the checkpoint of `step`, then deletes all but the `keep` newest ones. Returns its path.
  // Here and in Clear(), only files that begin as a run's own are deleted.
  Result<std::string> Save(uint64_t step, const CheckpointContents& contents, size_t keep) const;

  // Deletes what earlier runs left: checkpoints, damaged ones too, logs and events.
  Status Clear() const;

 private:
  struct Unlock {
    void operator()(const int* descriptor) const;
  };
  OutputFolder(std::string path, int lock) : path_(std::move(path)), lock_(new int(lock)) {}
  Status Remove(const std::string& file) const;
  Result<std::vector<std::string>> Names() const;

  std::string path_;
  std::unique_ptr<const int, Unlock> lock_;
};

}  // namespace golf
