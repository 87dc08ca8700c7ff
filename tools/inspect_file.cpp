#include "tools/inspect_file.h"

#include <fmt/format.h>

#include "artifact/check_tokenizer.h"
#include "artifact/checkpoint.h"
#include "artifact/file.h"
#include "artifact/file_kind.h"
#include "artifact/safetensors.h"
#include "artifact/shard_facts.h"
#include "runtime/packed_network.h"
#include "runtime/program.h"
#include "runtime/weights.h"
#include "tools/compare_xz.h"
#include "tools/output_guard.h"
#include "tools/pack_input.h"
#include "tools/size_tables.h"

namespace golf {
namespace {

using nlohmann::ordered_json;

// Facts of the network; kBadData, naming the file, if the program is broken or the tensors are not its weights.
Result<ordered_json> NetworkFacts(const InspectFlags& f, std::span<const uint8_t> program_bytes,
                                  std::span<const TensorView> weights) {
  const auto bad = [&](const Status& s) { return Status{s.code(), f.path + ": " + s.message()}; };
  auto program = ParseProgram(program_bytes);
  if (!program.ok()) return bad(program.status());
  if (f.verify) {
    if (Status s = TensorSet::CheckTensors(**program, weights); !s.ok()) return bad(s);
  }
  uint64_t parameters = 0;
  for (const TensorView& t : weights) parameters += t.data.size();
  const schema::ProgramT& p = **program;
  return ordered_json{{"name", p.name},
                      {"vocab_size", p.vocab_size},
                      {"window", p.window},
                      {"operations", p.steps.size()},
                      {"tensors", weights.size()},
                      {"weights", parameters}};
}

void PrintNetwork(const ordered_json& n) {
  Print("network       {}: {} weights in {} tensors, {} operations, vocabulary {}, window {}\n",
        n["name"].get<std::string>(), Grouped(n["weights"]), n["tensors"].get<size_t>(),
        n["operations"].get<size_t>(), n["vocab_size"].get<uint32_t>(),
        n["window"].get<uint32_t>());
}

void PrintTokenizer(const TokenizerInfo& tokenizer) {
  if (tokenizer.byte_table.size() == 0) return;
  Print("tokenizer     {} pieces, sha256 {}\n", tokenizer.byte_table.size(), tokenizer.sha256);
}

void PrintShards(const char* what, std::span<const ShardFacts> shards) {
  for (const ShardFacts& shard : shards) {
    Print("{:<14}{}: {} tokens, sha256 {}\n", what, shard.path, Grouped(shard.tokens),
          shard.sha256);
    what = "";
  }
}

// null where it is not known which they were.
ordered_json ShardsJson(std::span<const ShardFacts> shards) {
  if (shards.empty()) return nullptr;
  ordered_json json = ordered_json::array();
  for (const ShardFacts& shard : shards) {
    json.push_back({{"name", shard.path}, {"sha256", shard.sha256}, {"tokens", shard.tokens}});
  }
  return json;
}

void PrintVerdict(const InspectFlags& f) {
  if (!f.verify) return;
  Print("\nverified: structure, every checksum, and that the weights are the network's\n");
  Print("byte table: {}\n", ByteTableState(!f.tokenizer.empty()));
}

Status Export(const InspectFlags& f, std::span<const TensorView> weights) {
  if (f.export_path.empty()) return {};
  return WriteSafetensors(f.export_path, weights);
}

Status InspectArtifact(const InspectFlags& f) {
  GOLF_ASSIGN(const PackedNetwork packed, ReadPackedNetwork(f.path));
  const Artifact& artifact = packed.artifact;
  const std::vector<TensorView> weights = artifact.tensors();
  GOLF_ASSIGN(const ordered_json network, NetworkFacts(f, artifact.program_bytes(), weights));
  GOLF_TRY(CheckTokenizerFile(artifact.tokenizer(), f.path, f.tokenizer));
  GOLF_ASSIGN(std::vector<CodeFile> code, MeasureCode(f.code));
  const Status exported = Export(f, weights);
  const Budget budget{artifact.file_bytes(), std::move(code), f.max_bytes};
  const SizeReport report = MakeSizeReport(artifact);
  const Provenance& made = artifact.provenance();
  if (f.output.json) {
    ordered_json json{{"file", f.path},
                      {"kind", "artifact"},
                      {"artifact_sha256", artifact.sha256()},
                      {"content_hash", artifact.content_hash()}};
    json["network"] = network;
    json["tokenizer_sha256"] = artifact.tokenizer_sha256();
    json["byte_table"] = ByteTableState(!f.tokenizer.empty());
    json["provenance"] = {{"producer", made.producer},
                          {"packing", made.packing},
                          {"weights", made.weights},
                          {"step", made.step},
                          {"training_shards", ShardsJson(made.training_shards)},
                          {"calibration_shards", ShardsJson(made.calibration_shards)}};
    json.update(ToJson(report));
    if (f.compare_xz) json["xz"] = ToJson(CompareXz(artifact, report));
    AddBudget(budget, json);
    PrintJson(json);
  } else {
    Print("artifact      {}: {} bytes, sha256 {}\n", f.path, Grouped(artifact.file_bytes()),
          artifact.sha256());
    PrintNetwork(network);
    PrintTokenizer(artifact.tokenizer());
    Print("made by       {}: packing {} of {} weights, step {}\n", made.producer, made.packing,
          made.weights, made.step);
    PrintShards("trained on", made.training_shards);
    PrintShards("calibrated on", made.calibration_shards);
    Print("\n");
    PrintTree(LeavesOf(report));
    Print("\n");
    PrintGroups(report);
    PrintBudget(budget);
    if (f.compare_xz) PrintXz(CompareXz(artifact, report));
    PrintVerdict(f);
  }
  if (f.max_bytes > 0) GOLF_TRY(budget.Check());
  return exported;
}

void PrintCheckpoint(const Checkpoint& checkpoint, const ordered_json& network) {
  const CheckpointContents& contents = checkpoint.contents();
  Print("checkpoint    {}: {} bytes\n", checkpoint.path(), Grouped(checkpoint.file_bytes()));
  PrintNetwork(network);
  PrintTokenizer(contents.tokenizer);
  PrintShards("trained on", contents.training_shards);
  PrintShards("validated on", contents.validation_shards);
  for (const auto& [name, value] : contents.integers) Print("{:<13} {}\n", name, value);
  for (const auto& [name, value] : contents.reals) Print("{:<13} {}\n", name, value);
  for (const TensorGroup& group : contents.groups) {
    std::vector<TreeLeaf> leaves;
    uint64_t bytes = 0;
    for (const TensorView& t : group.tensors) {
      leaves.push_back(
          {std::string(t.name), ShapeText(t.shape) + ", fp32", t.data.size(), t.data.size_bytes()});
      bytes += t.data.size_bytes();
    }
    Print("\ngroup {}: {} tensors, {} bytes\n", group.name, leaves.size(), Grouped(bytes));
    PrintTree(leaves);
  }
}

ordered_json CheckpointJson(const Checkpoint& checkpoint, const ordered_json& network) {
  const CheckpointContents& contents = checkpoint.contents();
  ordered_json json{
      {"file", checkpoint.path()}, {"kind", "checkpoint"}, {"file_bytes", checkpoint.file_bytes()}};
  json["description_bytes"] = checkpoint.description_bytes();
  json["network"] = network;
  json["tokenizer_sha256"] = contents.tokenizer.sha256;
  json["training_shards"] = ShardsJson(contents.training_shards);
  json["validation_shards"] = ShardsJson(contents.validation_shards);
  json["integers"] = contents.integers;
  json["reals"] = contents.reals;
  json["groups"] = ordered_json::array();
  for (const TensorGroup& group : contents.groups) {
    ordered_json tensors = ordered_json::array();
    uint64_t bytes = 0;
    for (const TensorView& t : group.tensors) {
      tensors.push_back({{"name", t.name},
                         {"shape", t.shape},
                         {"weights", t.data.size()},
                         {"bytes", t.data.size_bytes()}});
      bytes += t.data.size_bytes();
    }
    json["groups"].push_back(
        {{"name", group.name}, {"bytes", bytes}, {"tensors", std::move(tensors)}});
  }
  return json;
}

Status InspectCheckpoint(const InspectFlags& f) {
  if (f.max_bytes > 0 || !f.code.empty() || f.compare_xz) {
    return {Code::kUsage,
            "--max-bytes, --code and --compare-xz are for artifacts; golf-pack --dry-run says what "
            "a checkpoint "
            "packs to"};
  }
  GOLF_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(f.path));
  GOLF_TRY(CheckTokenizerFile(checkpoint.contents().tokenizer, f.path, f.tokenizer));
  GOLF_ASSIGN(const std::string group, CheckpointGroup(checkpoint, f.weights));
  const std::span<const TensorView> weights = checkpoint.contents().group(group);
  GOLF_ASSIGN(const ordered_json network, NetworkFacts(f, checkpoint.contents().program, weights));
  const Status exported = Export(f, weights);
  if (f.output.json) {
    PrintJson(CheckpointJson(checkpoint, network));
  } else {
    PrintCheckpoint(checkpoint, network);
    PrintVerdict(f);
  }
  return exported;
}

}  // namespace

Status InspectFile(const InspectFlags& flags) {
  if (flags.path.empty())
    return {Code::kUsage, "what is to be inspected? give a checkpoint or an artifact"};
  std::vector<NamedPath> inputs = NamedPaths("--code", flags.code);
  inputs.push_back({"the input", flags.path});
  GOLF_TRY(CheckOutputs({{"--export", flags.export_path}}, inputs));
  FileKind kind;
  {
    GOLF_ASSIGN(const MappedFile file, MappedFile::Open(flags.path));
    kind = KindOf(file.bytes());
    if (kind != FileKind::kCheckpoint && kind != FileKind::kArtifact) {
      const Status status = NotA("a checkpoint or an artifact", file.bytes());
      return {status.code(), flags.path + ": " + status.message()};
    }
  }
  return kind == FileKind::kCheckpoint ? InspectCheckpoint(flags) : InspectArtifact(flags);
}

}  // namespace golf
