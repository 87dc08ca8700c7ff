#include "tools/run_limits.h"

#include <filesystem>

#include "artifact/budget.h"
#include "artifact/sha256.h"

namespace golf {

void AddLimitFlags(CLI::App& app, LimitFlags& flags) {
  app.add_option(
         "--code", flags.code,
         "Files whose bytes count beside the artifact; their sizes and hashes enter the receipt")
      ->type_name("FILE");
  app.add_option("--max-bytes", flags.max_bytes,
                 "Refuse an artifact that is larger than this together with --code")
      ->type_name("N");
  app.add_option(
         "--max-eval-seconds", flags.max_eval_seconds,
         "End with exit code 5 if the evaluation, loading included, took longer; the score is "
         "still given")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber.description(""));
}

Result<Limits> MeasureLimits(const LimitFlags& flags, uint64_t artifact_bytes) {
  Limits limits{
      .code = {}, .max_bytes = flags.max_bytes, .max_eval_seconds = flags.max_eval_seconds};
  GOLF_ASSIGN(const std::vector<CodeFile> code, MeasureCode(flags.code));
  for (const CodeFile& file : code) {
    GOLF_ASSIGN(const std::string sha256, Sha256OfFile(file.path));
    limits.code.push_back(
        {std::filesystem::path(file.path).filename().string(), sha256, file.bytes});
  }
  if (flags.max_bytes) {
    GOLF_TRY((Budget{artifact_bytes, code, *flags.max_bytes}.Check()));
  }
  return limits;
}

}  // namespace golf
