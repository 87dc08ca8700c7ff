#include "tools/inspect_audit.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "artifact/artifact.h"
#include "artifact/dataset.h"
#include "artifact/token_shard.h"
#include "runtime/verify_audit.h"

namespace golf {
namespace {

Result<AuditEvidence> EvidenceOf(const InspectAuditFlags& flags) {
  AuditEvidence evidence;
  evidence.artifact_path = flags.artifact;
  evidence.receipt_path = flags.receipt;
  GOLF_ASSIGN(evidence.shard_paths, ListShards(flags.shards, Split::kValidation));
  if (!flags.artifact.empty()) {
    GOLF_ASSIGN(const Artifact artifact, Artifact::Read(flags.artifact));
    evidence.byte_table = artifact.byte_table();
    std::vector<ShardFacts> shards;
    for (const std::string& path : evidence.shard_paths) shards.push_back({path, {}, 0});
    GOLF_TRY(CheckTokenizerOf(shards, NamedTokenizer{artifact.tokenizer_sha256(), flags.artifact}));
  }
  return evidence;
}

void PrintReportJson(const AuditReport& report) {
  const nlohmann::ordered_json json = {{"artifact_sha256", report.artifact_sha256},
                                       {"audit_head_sha256", report.head_sha256},
                                       {"protocol", report.protocol},
                                       {"target_tokens", report.targets},
                                       {"scored", report.count},
                                       {"repeated", report.repeated},
                                       {"bytes_scored", report.bytes},
                                       {"bytes_recounted", report.bytes_recounted},
                                       {"score_records", report.score_records},
                                       {"train_records", report.train_records},
                                       {"updates", report.updates},
                                       {"val_loss", report.loss_nats},
                                       {"val_bpb", report.bits_per_byte}};
  PrintJson(json);
}

void PrintReport(const AuditReport& report) {
  Print("valid     every target is scored, and before it is trained on\n");
  if (report.repeated > 0) {
    Print("but       {} scores of the last targets count again (protocol {}): not one pass\n",
          Grouped(report.repeated), report.protocol);
  }
  Print("records   {} of scores, {} of training with {} updates\n", Grouped(report.score_records),
        Grouped(report.train_records), Grouped(report.updates));
  Print("scored    {} targets, {} bytes{}\n", Grouped(report.targets), Grouped(report.bytes),
        report.bytes_recounted ? ", as counted again from the text" : "");
  Print("loss      {:.6f} nats per token\n", report.loss_nats);
  Print("bpb       {:.6f} bits per byte\n", report.bits_per_byte);
  Print("artifact  {}\n", report.artifact_sha256);
  Print("head      {}\n", report.head_sha256);
}

}  // namespace

CLI::App* AddInspectAudit(CLI::App& app, InspectAuditFlags& flags) {
  CLI::App* verify = app.add_subcommand("verify", "Check an audit log of golf-run");
  verify->add_option("log", flags.log, "The audit log")->required()->type_name("LOG");
  verify
      ->add_option("--artifact", flags.artifact,
                   "The artifact that was scored: has to be the one of the log")
      ->type_name("FILE");
  verify
      ->add_option(
          "--shards", flags.shards,
          "The token shards, in order (a folder means its *_val_* shards): have to be those "
          "of the log; with --artifact bytes are counted again")
      ->type_name("SHARDS...");
  verify->add_option("--receipt", flags.receipt, "The receipt: has to tell of this log")
      ->type_name("FILE");
  AddOutputFlags(*verify, flags.output);
  return verify;
}

Status InspectAudit(const InspectAuditFlags& flags) {
  GOLF_ASSIGN(const AuditEvidence evidence, EvidenceOf(flags));
  GOLF_ASSIGN(const AuditReport report, VerifyAudit(flags.log, evidence));
  if (flags.output.json) {
    PrintReportJson(report);
  } else {
    PrintReport(report);
  }
  return {};
}

}  // namespace golf
