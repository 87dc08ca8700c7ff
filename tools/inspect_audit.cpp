#include "tools/inspect_audit.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "artifact/check_tokenizer.h"
#include "artifact/checkpoint.h"
#include "artifact/dataset.h"
#include "artifact/json.h"
#include "artifact/sha256.h"
#include "artifact/token_shard.h"
#include "kernels/threads.h"
#include "runtime/packed_network.h"
#include "runtime/verify_audit.h"
#include "tools/number_flags.h"
#include "tools/rerun_audit.h"

namespace golf {
namespace {

struct Evidence {
  AuditEvidence of_log;
  std::optional<Artifact> artifact;
};

Result<Evidence> LoadEvidence(const InspectAuditFlags& flags) {
  Evidence evidence;
  AuditEvidence& of_log = evidence.of_log;
  of_log.receipt_path = flags.receipt;
  GOLF_ASSIGN(of_log.shard_paths, ListShards(flags.shards, Split::kValidation));
  if (!flags.artifact.empty()) {
    GOLF_ASSIGN(PackedNetwork packed, ReadPackedNetwork(flags.artifact));
    evidence.artifact = std::move(packed.artifact);
    const Artifact& artifact = *evidence.artifact;
    std::vector<ShardFacts> seen = artifact.provenance().training_shards;
    const std::vector<ShardFacts>& calibration = artifact.provenance().calibration_shards;
    seen.insert(seen.end(), calibration.begin(), calibration.end());
    of_log.artifact = {flags.artifact, artifact.sha256(), artifact.file_bytes(),
                       artifact.tokenizer(), std::move(seen)};
    std::vector<ShardFacts> shards;
    for (const std::string& path : of_log.shard_paths) shards.push_back({path, {}, 0});
    GOLF_TRY(CheckTokenizerOf(shards, NamedTokenizer{artifact.tokenizer_sha256(), flags.artifact}));
  }
  if (!flags.tokenizer.empty()) {
    GOLF_ASSIGN(TokenizerInfo model, ReadTokenizerInfo(flags.tokenizer));
    of_log.tokenizer = {flags.tokenizer, std::move(model)};
  }
  if (!flags.code.empty()) {
    GOLF_ASSIGN(of_log.code, MeasureCode(flags.code));
  }
  if (!flags.packing.empty()) {
    GOLF_ASSIGN(of_log.packing, ReadPackingFacts(flags.packing));
  }
  if (!flags.checkpoint.empty()) {
    GOLF_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(flags.checkpoint));
    of_log.checkpoint = {flags.checkpoint, checkpoint.sha256(),
                         checkpoint.contents().train_seconds()};
  }
  return evidence;
}

struct Rerun {
  bool all = false;
  uint64_t windows = 0;  // of a sample

  const char* word() const {
    return all ? "recomputed" : windows > 0 ? "recomputed in part" : "consistent";
  }
};

void PrintReportJson(const AuditReport& report, const Rerun& rerun) {
  const nlohmann::ordered_json json = {{"scores", rerun.word()},
                                       {"windows_recomputed", rerun.windows},
                                       {"state", report.one_pass() ? "one pass" : "reference"},
                                       {"text", report.limited ? "part" : "whole"},
                                       {"byte_table", ByteTableState(report.tokenizer_checked)},
                                       {"receipt_checked", report.receipt_checked},
                                       {"artifact_sha256", report.artifact_sha256},
                                       {"audit_head_sha256", report.head_sha256},
                                       {"protocol", report.protocol},
                                       {"shard_tokens", report.shard_tokens},
                                       {"val_tokens", report.used_tokens},
                                       {"target_tokens", report.targets},
                                       {"scored", report.count},
                                       {"repeated", report.repeated},
                                       {"left_out", report.left_out},
                                       {"bytes_scored", report.bytes},
                                       {"bytes_recounted", report.bytes_recounted},
                                       {"score_records", report.score_records},
                                       {"train_records", report.train_records},
                                       {"updates", report.updates},
                                       {"val_loss", report.loss_nats},
                                       {"val_bpb", report.bits_per_byte}};
  PrintJson(json);
}

void PrintReport(const AuditReport& report, const Rerun& rerun) {
  if (rerun.all) {
    Print("recomputed  the same run gave the same log, line by line\n");
  } else if (rerun.windows > 0) {
    Print("consistent  {} windows from before the first update were scored again: the same\n",
          Grouped(rerun.windows));
  } else {
    Print("consistent  the records fit together; the scores were not computed again (--rerun)\n");
  }
  if (report.one_pass()) {
    Print("one pass    every target is scored once, and before it is trained on\n");
  } else {
    Print(
        "reference   not one pass (protocol {}): {} scores of the last targets count again, {} "
        "targets have none\n",
        report.protocol, Grouped(report.repeated), Grouped(report.left_out));
  }
  const uint64_t unused = report.shard_tokens - report.used_tokens;
  Print("text        {}{} tokens{}\n", report.limited ? "a part: the first " : "",
        Grouped(report.used_tokens),
        unused == 0 ? ", all of the shards"
        : report.limited
            ? fmt::format(" of {} in the shards (--limit-tokens)", Grouped(report.shard_tokens))
            : fmt::format(", without the last {}, which fill no window", Grouped(unused)));
  Print("records     {} of scores, {} of training with {} updates\n", Grouped(report.score_records),
        Grouped(report.train_records), Grouped(report.updates));
  Print("scored      {} targets, {} bytes{}\n", Grouped(report.targets), Grouped(report.bytes),
        report.bytes_recounted ? ", as counted again from the text" : "");
  Print("byte table  {}\n", ByteTableState(report.tokenizer_checked));
  Print("loss        {:.6f} nats per token\n", report.loss_nats);
  Print("bpb         {:.6f} bits per byte\n", report.bits_per_byte);
  Print("artifact    sha256 {}\n", report.artifact_sha256);
  Print("head        {}\n", report.head_sha256);
}

}  // namespace

CLI::App* AddInspectAudit(CLI::App& app, InspectAuditFlags& flags) {
  CLI::App* verify = app.add_subcommand("verify", "Check an audit log of golf-run");
  verify->add_option("log", flags.log, "The audit log")->required()->type_name("LOG");
  auto* artifact = verify
                       ->add_option("--artifact", flags.artifact,
                                    "The artifact that was scored: has to be the one of the log")
                       ->type_name("FILE");
  auto* shards =
      verify
          ->add_option("--shards", flags.shards,
                       "The token shards, in order (a folder means its *_val_* shards): have to be "
                       "those of the log; with --artifact or --tokenizer bytes are counted again")
          ->type_name("SHARDS...");
  verify
      ->add_option("--tokenizer", flags.tokenizer,
                   "The SentencePiece model: byte table and hash have to be computed from it")
      ->type_name("MODEL");
  auto* receipt =
      verify->add_option("--receipt", flags.receipt, "The receipt: has to tell of this log")
          ->type_name("FILE");
  verify->add_option("--code", flags.code, "The files of code that the receipt counts, in order")
      ->type_name("FILE...")
      ->needs(receipt);
  verify
      ->add_option("--packing", flags.packing,
                   "What golf-pack --json printed: the receipt's seconds of training and packing")
      ->type_name("JSON")
      ->needs(receipt);
  verify
      ->add_option("--checkpoint", flags.checkpoint,
                   "The checkpoint that was packed: the receipt's seconds of training")
      ->type_name("FILE")
      ->needs(receipt);
  auto* rerun = verify
                    ->add_flag("--rerun", flags.rerun,
                               "Run the evaluation again and compare the log line by line")
                    ->needs(artifact)
                    ->needs(shards);
  AddCount(*verify, "--rerun-sample", flags.rerun_sample,
           "Score N windows or more again, chosen at random before the first update", {.lowest = 1})
      ->type_name("N")
      ->needs(artifact)
      ->needs(shards)
      ->excludes(rerun);
  AddThreadsFlag(*verify, flags.threads);
  AddOutputFlags(*verify, flags.output);
  return verify;
}

Status InspectAudit(const InspectAuditFlags& flags, ProcessGroup& group) {
  if (flags.threads > 0) SetThreads(flags.threads);
  StopRequested();
  GOLF_ASSIGN(const Evidence evidence, LoadEvidence(flags));
  GOLF_ASSIGN(const std::string log, ReadAuditLog(flags.log));
  GOLF_ASSIGN(const AuditReport report, VerifyAuditText(log, flags.log, evidence.of_log));
  Rerun rerun;
  if (flags.rerun || flags.rerun_sample > 0) {
    const RerunSubject subject{log, flags.log, report, *evidence.artifact,
                               evidence.of_log.shard_paths};
    if (flags.rerun) {
      GOLF_TRY(RerunAll(subject, flags.output, group));
      rerun.all = true;
    } else {
      GOLF_ASSIGN(rerun.windows, RerunSample(subject, flags.rerun_sample, flags.output, group));
    }
  }
  if (flags.output.json) {
    PrintReportJson(report, rerun);
  } else {
    PrintReport(report, rerun);
  }
  return {};
}

}  // namespace golf
