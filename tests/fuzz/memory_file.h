// A file that lives in memory and has a path, for readers that map what they read.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>

#include "kernels/base/check.h"

namespace golf::test {

class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) { GOLF_CHECK(descriptor_ >= 0); }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  // Replaces the content. Nothing may be mapped.
  void Set(std::span<const uint8_t> content) const {
    GOLF_CHECK(ftruncate(descriptor_, 0) == 0);
    for (size_t done = 0; done < content.size();) {
      const ssize_t n = pwrite(descriptor_, content.data() + done, content.size() - done,
                               static_cast<off_t>(done));
      GOLF_CHECK(n > 0);
      done += static_cast<size_t>(n);
    }
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace golf::test
