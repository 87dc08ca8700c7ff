// golf-data: text -> tokenizer and token shards; says what is in shards and whether they are sound.
#include <fmt/format.h>

#include <map>

#include "tools/cli.h"
#include "tools/data_check.h"
#include "tools/data_encode.h"
#include "tools/number_flags.h"
#include "tools/output_guard.h"

namespace golf {
namespace {

void AddFormatFlags(CLI::App& app, DocumentSource& source) {
  const std::map<std::string, DocumentFormat> formats = {
      {"lines", DocumentFormat::kLines},
      {"blank-lines", DocumentFormat::kBlankLines},
      {"files", DocumentFormat::kFiles},
      {"jsonl", DocumentFormat::kJsonLines}};
  auto* format = app.add_option(
      "--format", source.format,
      "What a document is: lines (default), blank-lines (between), files, jsonl (default for files "
      "of JSON objects)");
  format->transform(OneOf(formats))->type_name("NAME");
  auto* heading = app.add_option_function<std::string>(
      "--heading",
      [&source](const std::string& regex) {
        source.heading = regex;
        source.format = DocumentFormat::kHeadings;
      },
      "A document begins at each line that this extended regular expression matches");
  heading->type_name("REGEX")->excludes(format);
  app.add_option("--field", source.json_field, "jsonl: the field that holds the text")
      ->capture_default_str();
}

void AddSplitFlags(CLI::App& app, SplitRule& split) {
  using Kind = SplitRule::Kind;
  auto* group =
      app.add_option_group("Split", "Which documents are for validation; at most one of these");
  group->require_option(0, 1);
  const auto counted = [&split](Kind kind) {
    return [&split, kind](uint64_t n) { split.kind = kind, split.count = n; };
  };
  AddRealFlag(*group, "--train-fraction", "This share, by a hash of each text, is for training",
              {0.0001, 0.9999},
              [&split](double f) { split.kind = Kind::kTrainFraction, split.train_fraction = f; })
      ->type_name("F");
  AddCountFlag(*group, "--val-docs", "The first N are for validation", {.lowest = 1},
               counted(Kind::kFirst))
      ->type_name("N");
  AddCountFlag(*group, "--val-every", "Every N-th is for validation", {.lowest = 2},
               counted(Kind::kEvery))
      ->type_name("N");
  group
      ->add_option_function<std::string>(
          "--only",
          [&split](const std::string& side) {
            split.kind = side == "val" ? Kind::kValidationOnly : Kind::kTrainOnly;
          },
          "All are for train, or all for val")
      ->check(CLI::IsMember({"train", "val"}).description(""))
      ->type_name("SIDE");
}

void AddInputFlags(CLI::App& app, EncodeSettings& settings) {
  app.add_option("files", settings.source.files, "Text or JSONL files, UTF-8")
      ->required()
      ->type_name("FILE");
  AddFormatFlags(app, settings.source);
  AddSplitFlags(app, settings.split);
}

void AddShardFlags(CLI::App& app, EncodeSettings& settings) {
  app.add_option("--output", settings.output, "Folder to make; must not exist or be empty")
      ->required()
      ->type_name("FOLDER");
  app.add_option("--prefix", settings.prefix,
                 "Shards are named PREFIX_train_000000.bin; published sets have fineweb")
      ->capture_default_str();
  AddCount(app, "--shard-tokens", settings.shard_tokens, "Tokens per shard", {1, 1'000'000'000})
      ->capture_default_str();
  app.add_flag("--approximate-bytes", settings.approximate_bytes,
               "Take documents whose bytes the tokenizer does not count exactly, with a warning: "
               "bits per byte are then approximate");
}

void AddTokenizerFlags(CLI::App& app, TokenizerSettings& tokenizer, EncodeSettings& settings) {
  AddCount(app, "--vocab-size", tokenizer.vocab_size,
           "Pieces, 260 to 65536: 256 bytes, 4 of control, the rest learnt", {260, 65536})
      ->capture_default_str();
  app.add_option(
         "--normalization", tokenizer.normalization,
         "nmt_nfkc: as the challenge's tokenizers; identity: decoding gives back every byte")
      ->check(CLI::IsMember({"nmt_nfkc", "identity"}).description(""))
      ->capture_default_str();
  AddBytes(app, "--tokenizer-bytes", settings.tokenizer_bytes,
           "Training text that the tokenizer is learnt from, at most")
      ->capture_default_str();
}

Status PrintDataset(const EncodeSettings& settings, const OutputFlags& output) {
  GOLF_TRY(CheckOutputs({}, NamedPaths("the input", settings.source.files)));
  GOLF_ASSIGN(const auto facts, EncodeDataset(settings, output));
  if (output.json) {
    PrintJson(facts);
    return {};
  }
  for (const char* name : {"train", "val"}) {
    const auto& split = facts[name];
    Print("{:<6}{} shards, {} documents, {} tokens, {} bytes of text, {} counted\n", name,
          split["shards"].size(), Grouped(split["documents"]), Grouped(split["tokens"]),
          Grouped(split["text_bytes"]), Grouped(split["counted_bytes"]));
  }
  const uint64_t left_out = facts["left_out_as_copies_of_validation"];
  if (left_out > 0)
    Print("{} documents left out of training: their text is in val\n", Grouped(left_out));
  const uint64_t miscounted = facts["miscounted_documents"];
  if (miscounted > 0) Print("{} documents with approximate bytes\n", Grouped(miscounted));
  Print("written to {}\n", settings.output);
  return {};
}

void PrintShards(const nlohmann::ordered_json& facts, const std::string& name) {
  if (!facts.contains(name)) return;
  const auto& split = facts[name];
  for (const auto& shard : split["shards"]) {
    Print("{}: {} tokens, {} documents\n", shard["file"].get<std::string>(),
          Grouped(shard["tokens"]), Grouped(shard["documents"]));
  }
  Print("{:<7} {} tokens ({} targets), {} documents, the longest {} tokens, {} ids in use", name,
        Grouped(split["tokens"]), Grouped(split["targets"]), Grouped(split["documents"]),
        Grouped(split["longest_document"]), Grouped(split["ids_used"]));
  if (split.contains("bytes")) Print(", {} bytes", Grouped(split["bytes"]));
  Print("\n");
}

Status PrintCheck(const CheckSettings& settings, const OutputFlags& output) {
  GOLF_ASSIGN(CheckReport report, CheckShards(settings, output));
  if (output.json) {
    report.facts["problems"] = report.problems;
    PrintJson(report.facts);
  } else {
    for (const char* name : {"train", "val", "shards"}) PrintShards(report.facts, name);
    if (report.facts.contains("documents_in_both_splits")) {
      Print("documents in both splits: {}\n",
            report.facts["documents_in_both_splits"].get<uint64_t>());
    }
    if (report.facts.contains("documents_compared")) {
      Print("documents compared: {}, of these decoding to their exact text: {}\n",
            Grouped(report.facts["documents_compared"]),
            Grouped(report.facts["documents_decoding_to_their_exact_text"]));
    }
    for (const auto& problem : report.problems) Print("problem: {}\n", problem);
  }
  if (report.problems.empty()) return {};
  return {Code::kBadData,
          fmt::format("{} ({} in all)", report.problems.front(), report.problems.size())};
}

int Main(int argc, char** argv) {
  CLI::App app{"Text to tokenizer and token shards; what is in shards and whether they are sound."};
  app.require_subcommand(1);
  OutputFlags output;
  std::function<Status()> chosen;
  const auto command = [&](const char* name, const char* what,
                           const std::function<Status()>& body) {
    CLI::App* sub = app.add_subcommand(name, what);
    AddOutputFlags(*sub, output);
    sub->callback([&chosen, body] { chosen = body; });
    return sub;
  };

  EncodeSettings prepare;
  TokenizerSettings prepare_tokenizer;
  auto* sub =
      command("prepare", "Train a tokenizer on the training documents and write shards", [&] {
        prepare.train_tokenizer = prepare_tokenizer;
        return PrintDataset(prepare, output);
      });
  AddInputFlags(*sub, prepare);
  AddShardFlags(*sub, prepare);
  AddTokenizerFlags(*sub, prepare_tokenizer, prepare);

  EncodeSettings encode;
  sub = command("encode", "Write shards with an existing tokenizer",
                [&] { return PrintDataset(encode, output); });
  AddInputFlags(*sub, encode);
  AddShardFlags(*sub, encode);
  sub->add_option("--tokenizer", encode.tokenizer_path, "SentencePiece model")
      ->required()
      ->type_name("MODEL");

  EncodeSettings learn;
  learn.split.kind = SplitRule::Kind::kTrainOnly;
  TokenizerSettings learn_tokenizer;
  std::string model_path;
  sub = command("train-tokenizer", "Train a SentencePiece BPE tokenizer", [&]() -> Status {
    learn.train_tokenizer = learn_tokenizer;
    GOLF_TRY(CheckOutputs({{"--output", model_path}}, NamedPaths("the input", learn.source.files)));
    return TrainTokenizerFile(learn, model_path, output);
  });
  AddInputFlags(*sub, learn);
  AddTokenizerFlags(*sub, learn_tokenizer, learn);
  sub->add_option("--output", model_path, "Model file to write")->required()->type_name("MODEL");

  CheckSettings check;
  DocumentSource documents;
  const auto add_shards = [](CLI::App& to, CheckSettings& settings) {
    to.add_option("shards", settings.shards, "Shards, folders of shards or globs")
        ->required()
        ->type_name("PATH");
    to.add_option("--tokenizer", settings.tokenizer_path,
                  "SentencePiece model; default: tokenizer.model beside the shards")
        ->type_name("MODEL");
  };
  sub = command("check", "Verify shards; exit code 4 if anything is wrong", [&] {
    if (!documents.files.empty()) check.documents = documents;
    return PrintCheck(check, output);
  });
  add_shards(*sub, check);
  sub->add_option("--documents", documents.files,
                  "Also compare with these files, given as for encode")
      ->type_name("FILE");
  AddFormatFlags(*sub, documents);
  sub->add_flag("--exact-text", check.exact_text,
                "A document that does not decode to its exact text is a problem");

  CheckSettings describe;
  describe.compare = false;
  sub =
      command("describe", "Print what is in shards", [&] { return PrintCheck(describe, output); });
  add_shards(*sub, describe);

  return RunProgram(app, argc, argv, [&] { return chosen(); });
}

}  // namespace
}  // namespace golf

int main(int argc, char** argv) { return golf::Main(argc, argv); }
