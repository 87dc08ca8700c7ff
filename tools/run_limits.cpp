#include "tools/run_limits.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "artifact/budget.h"
#include "artifact/json.h"
#include "artifact/sha256.h"
#include "tools/number_flags.h"

namespace golf {

void AddLimitFlags(CLI::App& app, LimitFlags& flags) {
  app.add_option(
         "--code", flags.code,
         "A file whose bytes count beside the artifact; its size and hash enter the receipt; "
         "repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);  // what follows is a shard
  AddBytes(app, "--max-bytes", flags.max_bytes,
           "Refuse an artifact that is larger than this together with --code")
      ->type_name("N");
  AddTimeLimit(app, "--max-eval-seconds", flags.max_eval_seconds,
               "The evaluation, loading included, may take so long; the score is given still where "
               "it takes longer");
  auto* packing =
      app.add_option("--packing", flags.packing,
                     "What golf-pack --json printed of this artifact: the seconds of training, "
                     "calibration and packing enter the receipt")
          ->type_name("JSON");
  AddTimeLimit(app, "--max-train-seconds", flags.max_train_seconds,
               "Training and calibration may have taken so long; what took longer is not scored")
      ->needs(packing);
  AddOverTimeFlag(app, flags.over_time);
}

namespace {

Result<Limits::Making> ReadMaking(const std::string& path, const Artifact& artifact) {
  GOLF_ASSIGN(const nlohmann::json report, ReadJson(path));
  const auto seconds = [&](const char* name) -> std::optional<double> {
    const Result<double> number = JsonNumber(report, name);
    return number.ok() ? std::optional(*number) : std::nullopt;
  };
  const auto calibration = seconds("calibration_seconds"), packing = seconds("seconds");
  if (!calibration || !packing)
    return Status(Code::kBadData, path + " is not what golf-pack --json prints");
  const Result<std::string> hash = JsonText(report, "content_hash");
  if (!hash.ok() || *hash != artifact.content_hash())
    return Status(Code::kBadData, path + " tells of another artifact");
  return Limits::Making{seconds("train_seconds"), *calibration, *packing};
}

}  // namespace

Result<Limits> MeasureLimits(const LimitFlags& flags, const Artifact& artifact) {
  Limits limits;
  limits.max_bytes = flags.max_bytes;
  limits.max_eval_seconds = flags.max_eval_seconds;
  limits.max_train_seconds = flags.max_train_seconds;
  GOLF_ASSIGN(const std::vector<CodeFile> code, MeasureCode(flags.code));
  for (const CodeFile& file : code) {
    GOLF_ASSIGN(const std::string sha256, Sha256OfFile(file.path));
    limits.code.push_back(
        {std::filesystem::path(file.path).filename().string(), sha256, file.bytes});
  }
  if (flags.max_bytes) {
    GOLF_TRY((Budget{artifact.file_bytes(), code, *flags.max_bytes}.Check()));
  }
  if (flags.packing.empty()) return limits;
  GOLF_ASSIGN(limits.making, ReadMaking(flags.packing, artifact));
  if (flags.max_train_seconds && !limits.making->steps_seconds) {
    return Status(
        Code::kUsage,
        "--max-train-seconds: the weights came from safetensors, which do not say how long "
        "training took");
  }
  GOLF_TRY(CheckSeconds("training", limits.making->train_seconds(), "--max-train-seconds",
                        flags.max_train_seconds, flags.over_time));
  return limits;
}

}  // namespace golf
