#include "tools/data_encode.h"

#include <fmt/format.h>

#include <filesystem>
#include <unordered_set>
#include <vector>

#include "artifact/byte_table.h"
#include "artifact/file.h"
#include "artifact/json.h"
#include "artifact/sha256.h"
#include "tools/data_shards.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchBytes =
    8 << 20;  // text encoded at a time: enough documents to keep all threads busy

Status Interrupted() { return {Code::kInterrupted, "interrupted; nothing was written"}; }

// Calls `use(text, hash, validation)` for each document that belongs to a side. `validation_hashes` is filled by the first
// walk (`collect`), and keeps copies of validation documents out of training in later ones.
class SplitDocuments {
 public:
  explicit SplitDocuments(const EncodeSettings& settings) : settings_(settings) {}

  Status Collect(const OutputFlags& output) {
    GOLF_ASSIGN(DocumentReader reader, DocumentReader::Open(settings_.source));
    Progress progress("split", reader.total_bytes(), "bytes", output);
    uint64_t validation = 0;
    for (std::string text;;) {
      GOLF_ASSIGN(const bool found, reader.Next(text));
      if (!found) break;
      if (StopRequested()) return Interrupted();
      const DocumentHash hash = HashText(text);
      if (settings_.split.IsValidation(documents_++, hash)) {
        validation_hashes_.insert(hash);
        ++validation;
      }
      progress.Update(reader.bytes_read());
    }
    return CheckBothSides(validation);
  }

  bool IsValidation(uint64_t index, const DocumentHash& hash) const {
    return settings_.split.IsValidation(index, hash);
  }
  bool IsCopyOfValidation(const DocumentHash& hash) const {
    return validation_hashes_.contains(hash);
  }

 private:
  Status CheckBothSides(uint64_t validation) const {
    using Kind = SplitRule::Kind;
    if (documents_ == 0) return {Code::kBadData, "the input holds no document"};
    const std::string had = fmt::format("; the input holds {} documents, the split is: {}",
                                        documents_, settings_.split.ToString());
    if (settings_.split.kind != Kind::kTrainOnly && validation == 0) {
      return {Code::kUsage, "no document is left for validation" + had};
    }
    if (settings_.split.kind != Kind::kValidationOnly && validation == documents_) {
      return {Code::kUsage, "no document is left for training" + had};
    }
    return {};
  }

  const EncodeSettings& settings_;
  uint64_t documents_ = 0;
  std::unordered_set<DocumentHash, DocumentHasher> validation_hashes_;
};

Result<std::string> TrainOn(const EncodeSettings& settings, const SplitDocuments& split,
                            const OutputFlags& output) {
  GOLF_ASSIGN(DocumentReader reader, DocumentReader::Open(settings.source));
  Progress progress("tokenizer: read", reader.total_bytes(), "bytes", output);
  uint64_t index = 0, used_bytes = 0;
  const auto next = [&](std::string& text) -> Result<bool> {
    while (used_bytes < settings.tokenizer_bytes) {
      GOLF_ASSIGN(const bool found, reader.Next(text));
      if (!found) return false;
      if (StopRequested()) return Interrupted();
      progress.Update(reader.bytes_read());
      const DocumentHash hash = HashText(text);
      if (split.IsValidation(index++, hash) || split.IsCopyOfValidation(hash)) continue;
      used_bytes += text.size();
      return true;
    }
    return false;
  };
  return TrainTokenizer(*settings.train_tokenizer, next);
}

// One walk over the documents that feeds the two writers, a batch at a time; the batch is encoded by all threads.
class Encoder {
 public:
  Encoder(const SplitDocuments& split, const Tokenizer& tokenizer, SplitWriter& train,
          SplitWriter& validation)
      : split_(split), tokenizer_(tokenizer), train_(train), validation_(validation) {}

  Status Run(const DocumentSource& source, const OutputFlags& output) {
    GOLF_ASSIGN(DocumentReader reader, DocumentReader::Open(source));
    Progress progress("encode", reader.total_bytes(), "bytes", output);
    uint64_t index = 0;
    for (std::string text;;) {
      GOLF_ASSIGN(const bool found, reader.Next(text));
      if (found) Add(index++, std::move(text));
      if (!found || batch_bytes_ >= kBatchBytes) {
        GOLF_TRY(EncodeBatch());
        progress.Update(reader.bytes_read());
      }
      if (!found) return {};
      if (StopRequested()) return Interrupted();
    }
  }

  uint64_t dropped() const { return dropped_; }

 private:
  struct Document {
    std::string text;
    DocumentHash hash;
    bool validation;
    std::vector<uint16_t> tokens;
  };

  void Add(uint64_t index, std::string text) {
    const DocumentHash hash = HashText(text);
    const bool validation = split_.IsValidation(index, hash);
    if (!validation && split_.IsCopyOfValidation(hash)) {
      ++dropped_;
      return;
    }
    batch_bytes_ += text.size();
    batch_.push_back({std::move(text), hash, validation, {}});
  }

  Status EncodeBatch() {
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < batch_.size(); ++i) batch_[i].tokens = tokenizer_.Encode(batch_[i].text);
    for (const Document& d : batch_) {
      SplitWriter& writer = d.validation ? validation_ : train_;
      GOLF_TRY(writer.Append(d.tokens, d.hash, d.text.size()));
    }
    batch_.clear();
    batch_bytes_ = 0;
    return {};
  }

  const SplitDocuments& split_;
  const Tokenizer& tokenizer_;
  SplitWriter& train_;
  SplitWriter& validation_;
  std::vector<Document> batch_;
  size_t batch_bytes_ = 0;
  uint64_t dropped_ = 0;
};

Result<nlohmann::ordered_json> EncodeInto(const fs::path& folder, const EncodeSettings& settings,
                                          const OutputFlags& output) {
  SplitDocuments split(settings);
  GOLF_TRY(split.Collect(output));

  const std::string model_path = (folder / "tokenizer.model").string();
  if (settings.train_tokenizer) {
    GOLF_ASSIGN(const std::string model, TrainOn(settings, split, output));
    GOLF_TRY(WriteFileAtomically(model_path, AsBytes(model)));
  } else {
    GOLF_ASSIGN(const MappedFile model, MappedFile::Open(settings.tokenizer_path));
    GOLF_TRY(WriteFileAtomically(model_path, model.bytes()));
  }
  GOLF_ASSIGN(const Tokenizer tokenizer, Tokenizer::Load(model_path));
  GOLF_ASSIGN(const ByteTable byte_table, ReadByteTable(model_path));
  GOLF_ASSIGN(const std::string model_digest, Sha256OfFile(model_path));

  const auto create = [&](const char* name) {
    return SplitWriter::Create(folder, settings.prefix, name, settings.shard_tokens,
                               tokenizer.bos(), byte_table);
  };
  GOLF_ASSIGN(SplitWriter train, create("train"));
  GOLF_ASSIGN(SplitWriter validation, create("val"));
  Encoder encoder(split, tokenizer, train, validation);
  GOLF_TRY(encoder.Run(settings.source, output));
  GOLF_TRY(train.Finish());
  GOLF_TRY(validation.Finish());

  const nlohmann::ordered_json description = {
      {"format", 1},
      {"prefix", settings.prefix},
      {"tokenizer",
       {{"file", "tokenizer.model"}, {"sha256", model_digest}, {"pieces", tokenizer.vocab_size()}}},
      {"split", settings.split.ToString()},
      {"left_out_as_copies_of_validation", encoder.dropped()},
      {"train", train.Describe()},
      {"val", validation.Describe()},
  };
  GOLF_TRY(WriteFileAtomically((folder / "dataset.json").string(),
                               AsBytes(DumpJson(description, 1) + "\n")));
  return description;
}

Status CheckOutputIsFree(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) return {};
  if (!fs::is_directory(folder, error)) return {Code::kUsage, folder.string() + " is not a folder"};
  if (!fs::is_empty(folder, error)) {
    return {Code::kUsage, folder.string() + " is not empty; shards of two data sets must not mix"};
  }
  return {};
}

}  // namespace

Result<nlohmann::ordered_json> EncodeDataset(const EncodeSettings& settings,
                                             const OutputFlags& output) {
  fs::path folder = fs::path(settings.output).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "data/"
  GOLF_TRY(CheckOutputIsFree(folder));
  StopRequested();  // from here on a signal lets us clean up

  fs::path partial = folder;
  partial += ".partial";
  std::error_code error;
  fs::remove_all(partial, error);  // of a run that was killed; its shards must not mix with ours
  if (!error) fs::create_directories(partial, error);
  if (error) return Status(Code::kIo, partial.string() + ": " + error.message());

  auto description = EncodeInto(partial, settings, output);
  if (description.ok()) {
    fs::rename(partial, folder, error);
    if (error) {
      description = Status(Code::kIo, folder.string() + ": " + error.message());
    } else {
      GOLF_TRY(SyncFolder(folder.parent_path().string()));
    }
  }
  if (!description.ok()) fs::remove_all(partial, error);
  return description;
}

Status TrainTokenizerFile(const EncodeSettings& settings, const std::string& path,
                          const OutputFlags& output) {
  SplitDocuments split(settings);
  GOLF_TRY(split.Collect(output));
  GOLF_ASSIGN(const std::string model, TrainOn(settings, split, output));
  return WriteFileAtomically(path, AsBytes(model));
}

}  // namespace golf
