#include "tools/pack_hessians.h"

#include <fmt/format.h>

#include "artifact/dataset.h"
#include "artifact/shard_facts.h"
#include "kernels/table.h"
#include "runtime/calibrate.h"
#include "runtime/generate.h"
#include "runtime/program.h"
#include "schemas/program_generated.h"
#include "tools/cli.h"
#include "tools/number_flags.h"

namespace golf {
namespace {

struct CalibrationText {
  std::vector<int32_t> ids;        // (windows, T)
  std::vector<ShardFacts> shards;  // that were read
};

// Windows of T tokens, one behind the other with a token between them, as the reference reads its samples; as many as
// there are.
Result<CalibrationText> ReadWindows(const std::string& shards, size_t windows, size_t length) {
  GOLF_ASSIGN(const std::vector<std::string> paths, ListShards({&shards, 1}, Split::kTrain));
  if (const std::string other = OtherSplit(paths, Split::kTrain); !other.empty())
    Warn(other + "; codes that are chosen by it must not be scored on it");
  CalibrationText read;
  std::vector<int32_t> text;
  std::vector<int32_t>& ids = read.ids;
  for (const std::string& path : paths) {
    GOLF_ASSIGN(const TokenShard shard, TokenShard::Open(path));
    read.shards.push_back(FactsOf({&shard, 1}).front());
    const size_t wanted = windows * (length + 1) - text.size();
    const auto tokens = shard.tokens().first(std::min(wanted, shard.tokens().size()));
    text.insert(text.end(), tokens.begin(), tokens.end());
    if (text.size() == windows * (length + 1)) break;
  }
  GOLF_TRY(CheckEachOnce(read.shards));
  for (size_t at = 0; at + length <= text.size(); at += length + 1) {
    const auto from = text.begin() + static_cast<ptrdiff_t>(at);
    ids.insert(ids.end(), from, from + static_cast<ptrdiff_t>(length));
  }
  if (ids.empty()) {
    return Status{Code::kBadData, fmt::format("{}: {} tokens, and a window of calibration needs {}",
                                              shards, text.size(), length)};
  }
  return read;
}

// Text of the network's tokenizer, and none that it is validated on.
Status CheckText(const CalibrationText& text, const PackInput& input) {
  GOLF_TRY(
      CheckTokenizerOf(text.shards, NamedTokenizer{input.tokenizer.sha256, input.tokenizer_path}));
  return CheckApart(text.shards, input.validation_shards,
                    "which the network was validated on; calibration needs other text");
}

// Tells a progress line about tokens; ends with a stop signal.
CalibrationProgress Reporting(Progress& progress) {
  return [&progress](uint64_t tokens) {
    progress.Update(tokens);
    return !StopRequested();
  };
}

Result<HessianSet> Calibrate(const HessianFlags& flags, const PackInput& input,
                             const OutputFlags& output) {
  GOLF_ASSIGN(const auto program, ParseProgram(input.program));
  GOLF_ASSIGN(const KernelTable* kernels, CpuKernels());
  const size_t length = program->window;
  CalibrationText text;
  if (flags.calibrate == kCalibrateSelf) {
    Progress progress("generating", flags.windows * length, "tokens", output);
    GenerateOptions options;
    options.windows = flags.windows;
    options.length = length;
    options.seed = flags.seed;
    options.precision = flags.precision;
    GOLF_ASSIGN(text.ids,
                Generate(*kernels, *program, input.weights, options, Reporting(progress)));
  } else {
    GOLF_ASSIGN(text, ReadWindows(flags.calibrate, flags.windows, length));
    GOLF_TRY(CheckText(text, input));
  }
  Progress progress("calibrating", text.ids.size(), "tokens", output);
  CalibrationOptions options;
  options.length = length;
  options.precision = flags.precision;
  GOLF_ASSIGN(HessianSet hessians, CollectHessians(*kernels, *program, input.weights, text.ids,
                                                   options, Reporting(progress)));
  hessians.source = flags.calibrate;
  hessians.shards = std::move(text.shards);
  hessians.program = input.program;
  return hessians;
}

}  // namespace

void AddHessianFlags(CLI::App& app, HessianFlags& flags) {
  const std::map<std::string, Precision> precisions = {{"fp32", Precision::kFp32},
                                                       {"bf16", Precision::kBf16}};
  auto* group = app.add_option_group("Calibration");
  group
      ->add_option("--calibrate", flags.calibrate,
                   "Choose codes by GPTQ, with Hessians of these token shards (a folder means its "
                   "*_train_* shards), or of text that the network writes itself")
      ->type_name("SHARDS|self");
  AddCount(*group, "--calibrate-windows", flags.windows,
           "Windows of calibration text, each as long as the network's", {1, 65536})
      ->capture_default_str()
      ->type_name("N");
  AddCount(*group, "--calibrate-seed", flags.seed, "Of text that the network writes")
      ->capture_default_str()
      ->type_name("N");
  group
      ->add_option("--precision", flags.precision,
                   "Of matrix products while calibrating: fp32 (default) or bf16")
      ->transform(OneOf(precisions))
      ->type_name("NAME");
  group
      ->add_option("--save-hessians", flags.save,
                   "Keep what was collected, for other packings of this network")
      ->type_name("FILE");
  group
      ->add_option("--hessians", flags.file,
                   "Choose codes by GPTQ, with the Hessians of an earlier calibration")
      ->type_name("FILE");
}

Result<std::optional<HessianSet>> LoadHessians(const HessianFlags& flags, const PackInput& input,
                                               const OutputFlags& output) {
  if (!flags.file.empty() && (!flags.calibrate.empty() || !flags.save.empty())) {
    return Status{Code::kUsage,
                  "--hessians reads those of an earlier calibration; leave out --calibrate and "
                  "--save-hessians"};
  }
  if (flags.calibrate.empty() && !flags.save.empty())
    return Status{Code::kUsage, "--save-hessians needs --calibrate, which collects them"};
  if (!flags.file.empty()) {
    GOLF_ASSIGN(HessianSet hessians, ReadHessians(flags.file));
    if (hessians.program != input.program) {
      return Status{Code::kUsage,
                    flags.file + " has the Hessians of another network; calibrate this one"};
    }
    return std::optional(std::move(hessians));
  }
  if (flags.calibrate.empty()) return std::optional<HessianSet>();
  GOLF_ASSIGN(HessianSet hessians, Calibrate(flags, input, output));
  return std::optional(std::move(hessians));
}

}  // namespace golf
