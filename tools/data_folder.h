// A folder that appears under its name complete or not at all.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "kernels/base/status.h"

namespace golf {

class NewFolder {
 public:
  // Makes "<path>.partial" and locks it. What an earlier run of ours left there is removed; a folder of others is refused
  // (kUsage), and so is a `path` that is there and no empty folder. kBusy if another process makes the same folder.
  static Result<NewFolder> Create(const std::string& path);
  NewFolder(NewFolder&&) noexcept = default;
  ~NewFolder();  // removes what was made, unless it was committed

  // Where to write until Commit().
  const std::filesystem::path& partial() const { return partial_; }
  // Gives the folder its name.
  Status Commit();

 private:
  struct Unlock {
    void operator()(const int* descriptor) const;
  };
  NewFolder() = default;

  std::filesystem::path final_, partial_;
  std::unique_ptr<const int, Unlock> lock_;  // null once committed
};

}  // namespace golf
