#include "tools/run_limits.h"

#include "artifact/budget.h"
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

Result<Limits> MeasureLimits(const LimitFlags& flags, const Artifact& artifact) {
  Limits limits;
  limits.max_bytes = flags.max_bytes;
  limits.max_eval_seconds = flags.max_eval_seconds;
  limits.max_train_seconds = flags.max_train_seconds;
  GOLF_ASSIGN(limits.code, MeasureCode(flags.code));
  if (flags.max_bytes) {
    GOLF_TRY((Budget{artifact.file_bytes(), limits.code, *flags.max_bytes}.Check()));
  }
  if (flags.packing.empty()) return limits;
  GOLF_ASSIGN(limits.packing, ReadPackingFacts(flags.packing));
  if (limits.packing->artifact_sha256 != artifact.sha256())
    return Status(Code::kBadData, flags.packing + " tells of another artifact");
  if (flags.max_train_seconds && !limits.packing->steps_seconds) {
    return Status(
        Code::kUsage,
        "--max-train-seconds: the weights came from safetensors, which do not say how long "
        "training took");
  }
  GOLF_TRY(CheckSeconds("training", limits.packing->train_seconds(), "--max-train-seconds",
                        flags.max_train_seconds, flags.over_time));
  return limits;
}

}  // namespace golf
