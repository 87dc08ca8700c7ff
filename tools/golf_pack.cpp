// golf-pack: checkpoint or safetensors -> artifact within a byte budget.
#include <fmt/format.h>

#include <iostream>

#include "artifact/artifact.h"
#include "artifact/artifact_write.h"
#include "artifact/budget.h"
#include "artifact/file.h"
#include "artifact/packing.h"
#include "artifact/size_report.h"
#include "artifact/stream_coder.h"
#include "kernels/threads.h"
#include "tools/cli.h"
#include "tools/pack_input.h"
#include "tools/size_tables.h"

namespace golf {
namespace {

struct Flags {
  PackInputFlags input;
  std::string output, preset = "pr598", check;
  int level = 22, threads = 0;
  uint64_t max_bytes = 0;
  std::vector<std::string> code;
  bool dry_run = false;
  OutputFlags print;
};

void AddFlags(CLI::App& app, Flags& f) {
  auto* input = app.add_option_group("Input");
  input
      ->add_option("input", f.input.path,
                   "A checkpoint of golf-train, or safetensors with the reference's tensor names")
      ->type_name("FILE");
  input
      ->add_option("--weights", f.input.weights,
                   "Checkpoint: ema (default where there is one), raw or swa")
      ->check(CLI::IsMember({"ema", "raw", "swa"}).description(""))
      ->type_name("NAME");
  input
      ->add_option("--recipe", f.input.recipe,
                   "safetensors: the recipe of the network they belong to")
      ->type_name("NAME|FILE");
  input
      ->add_option("--set", f.input.overrides,
                   "safetensors: override a value of the recipe; repeatable")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  input
      ->add_option("--tokenizer", f.input.tokenizer,
                   "safetensors: the SentencePiece model that it was trained with")
      ->type_name("MODEL");

  auto* output = app.add_option_group("Output");
  output
      ->add_option("-o,--output", f.output, "The artifact to write; replaced only by one that fits")
      ->type_name("FILE");
  output
      ->add_option("--preset", f.preset,
                   fmt::format("How weights are stored: {}", fmt::join(PackingNames(), ", ")))
      ->check(CLI::IsMember(PackingNames()).description(""))
      ->capture_default_str()
      ->type_name("NAME");
  output->add_option("--level", f.level, "Of zstd")
      ->check(CLI::Range(1, MaxStreamLevel()).description(""))
      ->capture_default_str()
      ->type_name("N");
  output->add_flag("--dry-run", f.dry_run,
                   "Write nothing; print the size of every tensor, exact to the byte");

  auto* budget = app.add_option_group("Budget");
  budget
      ->add_option("--max-bytes", f.max_bytes,
                   "Artifact and code together may have so many bytes; more is exit code 5")
      ->check(CLI::PositiveNumber.description(""))
      ->type_name("N");
  budget->add_option("--code", f.code, "Files that count as code")->type_name("FILE...");
  budget->add_option("--check", f.check, "Only check this artifact against --max-bytes")
      ->type_name("ARTIFACT");

  app.add_option("--threads", f.threads, "Default: all cores; the result does not depend on it")
      ->check(CLI::PositiveNumber.description(""))
      ->type_name("N");
  AddOutputFlags(app, f.print);
  app.footer(
      "Example: a network trained in PyTorch, saved with "
      "safetensors.torch.save_file(model.state_dict(), ...)\n"
      "  golf-pack model.safetensors --recipe pr598 --tokenizer fineweb_1024_bpe.model \\\n"
      "            -o model.ptz --max-bytes 16000000 --code train_gpt.py\n"
      "Exit codes: 0 done, 2 usage, 3 input/output, 4 bad data, 5 over budget, 7 a NaN in the "
      "weights");
}

Result<Budget> MakeBudget(const Flags& f, uint64_t artifact_bytes) {
  GOLF_ASSIGN(std::vector<CodeFile> code, MeasureCode(f.code));
  return Budget{artifact_bytes, std::move(code), f.max_bytes};
}

Status CheckBudget(const Budget& budget) {
  return budget.max_bytes == 0 ? Status() : budget.Check();
}

Status CheckOnly(const Flags& f) {
  if (f.max_bytes == 0) return {Code::kUsage, "--check needs --max-bytes"};
  if (!f.input.path.empty() || !f.output.empty() || f.dry_run) {
    return {Code::kUsage, "--check packs nothing; leave out FILE, --output and --dry-run"};
  }
  GOLF_ASSIGN(const Artifact artifact, Artifact::Read(f.check));
  GOLF_ASSIGN(const Budget budget, MakeBudget(f, artifact.file_bytes()));
  const SizeReport report = MakeSizeReport(artifact);
  if (f.print.json) {
    nlohmann::ordered_json json{{"artifact", f.check}, {"content_hash", artifact.content_hash()}};
    json.update(ToJson(report));
    AddBudget(budget, json);
    std::cout << json.dump(2) << "\n";
  } else {
    if (!budget.Check().ok()) PrintGroups(report);
    PrintBudget(budget);
  }
  return budget.Check();
}

void Print(const Flags& f, const PackInput& input, const Artifact& artifact, const Budget& budget,
           bool written) {
  const SizeReport report = MakeSizeReport(artifact);
  if (f.print.json) {
    nlohmann::ordered_json json{{"input", f.input.path}, {"weights", input.weights_name},
                                {"step", input.step},    {"packing", f.preset},
                                {"level", f.level},      {"content_hash", artifact.content_hash()}};
    json["output"] = written ? nlohmann::ordered_json(f.output) : nlohmann::ordered_json();
    json.update(ToJson(report));
    AddBudget(budget, json);
    std::cout << json.dump(2) << "\n";
    return;
  }
  fmt::print("{}: {} weights in {} tensors, packed as {}\n\n", f.input.path,
             Grouped(input.weights.parameter_count()), artifact.table().size(), f.preset);
  if (f.dry_run) {
    PrintTree(LeavesOf(report));
    fmt::print("\n");
  }
  PrintGroups(report);
  PrintBudget(budget);
  if (written) fmt::print("\nwritten to {}\ncontent hash {}\n", f.output, artifact.content_hash());
}

Status Pack(const Flags& f) {
  if (f.input.path.empty())
    return {Code::kUsage, "what is to be packed? give a checkpoint or safetensors file"};
  if (f.output.empty() && !f.dry_run)
    return {Code::kUsage, "where to? give --output FILE, or --dry-run"};
  GOLF_ASSIGN(const Packing packing, FindPacking(f.preset));
  GOLF_ASSIGN(const PackInput input, LoadPackInput(f.input));
  GOLF_ASSIGN(Budget budget,
              MakeBudget(f, 0));  // before the work: a missing code file costs no minute

  std::vector<TensorView> weights;
  for (size_t i = 0; i < input.weights.count(); ++i) weights.push_back(input.weights.view(i));
  GOLF_ASSIGN(const std::vector<EncodedTensor> encoded, EncodeTensors(packing, weights));
  const Provenance provenance{"golf-pack " GOLF_VERSION, packing.name, input.weights_name,
                              input.step};
  const std::vector<uint8_t> bytes =
      SerialiseArtifact({input.program, input.tokenizer, provenance, encoded}, f.level);

  // What is reported, and what is written, is what the reader makes of the bytes.
  GOLF_ASSIGN(const Artifact artifact, Artifact::Parse(bytes));
  if (artifact.encoded() != encoded)
    return {Code::kInternal, "the packed artifact does not read back as packed"};
  budget.artifact_bytes = bytes.size();
  Status fits = CheckBudget(budget);
  const bool write = fits.ok() && !f.dry_run;
  if (write) GOLF_TRY(WriteFileAtomically(f.output, bytes));
  Print(f, input, artifact, budget, write);
  return fits;
}

int Main(int argc, char** argv) {
  CLI::App app{"Packs a trained network into an artifact, within a byte budget."};
  Flags flags;
  AddFlags(app, flags);
  return RunProgram(app, argc, argv, [&] {
    if (flags.threads > 0) SetThreads(flags.threads);
    return flags.check.empty() ? Pack(flags) : CheckOnly(flags);
  });
}

}  // namespace
}  // namespace golf

int main(int argc, char** argv) { return golf::Main(argc, argv); }
