// golf-inspect: what is in a checkpoint or an artifact, byte by byte; and whether an audit log holds.
#include "tools/cli.h"
#include "tools/inspect_audit.h"
#include "tools/inspect_file.h"
#include "tools/number_flags.h"
#include "tools/together.h"

namespace golf {
namespace {

void AddFileFlags(CLI::App& app, InspectFlags& f) {
  app.add_option("file", f.path, "A checkpoint or an artifact")->type_name("FILE");
  app.add_flag(
      "--verify", f.verify,
      "Checkpoint: check that network and weights belong together too. Of an artifact this, "
      "and every checksum, is always checked");
  app.add_option("--tokenizer", f.tokenizer,
                 "The SentencePiece model: byte table and hash have to be computed from it")
      ->type_name("MODEL");
  app.add_option("--export", f.export_path, "Write the weights (dequantised) as fp32")
      ->type_name("SAFETENSORS");
  app.add_option("--weights", f.weights,
                 "Checkpoint: what to export, ema (default where there is one), raw or swa")
      ->check(CLI::IsMember({"ema", "raw", "swa"}).description(""))
      ->type_name("NAME");
  AddBytes(app, "--max-bytes", f.max_bytes, "Artifact: compare with a budget; more is exit code 5")
      ->type_name("N");
  app.add_flag("--compare-xz", f.compare_xz, "Artifact: also what XZ would make of its tensors");
  app.add_option("--code", f.code, "Artifact: files that count as code")->type_name("FILE...");
  AddOutputFlags(app, f.output);
}

int Main(int argc, char** argv) {
  CLI::App app{
      "Shows what is in a checkpoint or an artifact, byte by byte, or checks an audit log."};
  app.footer(
      "Example:\n"
      "  golf-inspect model.ptz --max-bytes 16000000 --code train_gpt.py\n"
      "  golf-inspect model.ptz --verify --export dequantised.safetensors\n"
      "  golf-inspect verify run.audit --artifact model.ptz --shards 'val_*.bin' --receipt "
      "run.json");
  InspectFlags flags;
  AddFileFlags(app, flags);
  InspectAuditFlags audit_flags;
  const CLI::App* audit = AddInspectAudit(app, audit_flags);
  // Several processes run an evaluation again that several ran.
  return RunTogether(app, argc, argv, audit_flags.output, [&](ProcessGroup& group) {
    if (audit->parsed()) return InspectAudit(audit_flags, group);
    return group.rank() == 0 ? InspectFile(flags) : Status();
  });
}

}  // namespace
}  // namespace golf

int main(int argc, char** argv) { return golf::Main(argc, argv); }
