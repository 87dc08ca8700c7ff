#include "artifact/budget.h"

#include "artifact/file_digest.h"

namespace golf {

Result<std::vector<CodeFile>> MeasureCode(const std::vector<std::string>& paths) {
  std::vector<CodeFile> files;
  for (const std::string& path : paths) {
    GOLF_ASSIGN(FileDigest digest, DigestOfFile(path));
    files.push_back({path, digest.bytes, std::move(digest.sha256)});
  }
  return files;
}

uint64_t Budget::code_bytes() const {
  uint64_t sum = 0;
  for (const CodeFile& file : code) sum += file.bytes;
  return sum;
}

Status Budget::Check() const {
  if (total_bytes() <= max_bytes) return {};
  return {Code::kOverBudget, "artifact " + std::to_string(artifact_bytes) + " + code " +
                                 std::to_string(code_bytes()) + " = " +
                                 std::to_string(total_bytes()) + " bytes, " +
                                 std::to_string(total_bytes() - max_bytes) +
                                 " over the budget of " + std::to_string(max_bytes)};
}

}  // namespace golf
