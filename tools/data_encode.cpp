#include "tools/data_encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <unordered_set>
#include <vector>

#include "artifact/file.h"
#include "artifact/json.h"
#include "kernels/threads.h"
#include "tools/data_folder.h"
#include "tools/data_shards.h"

namespace golf {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchBytes =
    8 << 20;  // text encoded at a time: enough documents to keep all threads busy

Status Interrupted() { return {Code::kInterrupted, "interrupted; nothing was written"}; }

// What the input holds, and how many of it are for validation.
struct Count {
  uint64_t documents = 0, validation = 0;
};

// A document of the input.
struct Document {
  uint64_t index;  // from 0
  std::string text;
  DocumentHash hash;  // of the text
  bool validation;
};

// Calls `use(Document)` for each document of the input.
template <class Use>
Result<Count> Walk(const EncodeSettings& settings, const char* label, const OutputFlags& output,
                   const Use& use) {
  GOLF_ASSIGN(DocumentReader reader, DocumentReader::Open(settings.source));
  Progress progress(label, reader.total_bytes(), "bytes", output);
  Count count;
  for (std::string text;;) {
    GOLF_ASSIGN(const bool found, reader.Next(text));
    if (!found) return count;
    if (StopRequested()) return Interrupted();
    const DocumentHash hash = HashText(text);
    const bool validation = settings.split.IsValidation(count.documents, hash);
    GOLF_TRY(use(Document{count.documents++, std::move(text), hash, validation}));
    count.validation += validation;
    progress.Update(reader.bytes_read());
  }
}

Status CheckBothSides(const EncodeSettings& settings, const Count& count) {
  using Kind = SplitRule::Kind;
  if (count.documents == 0) return {Code::kBadData, "the input holds no document"};
  const std::string had = fmt::format("; the input holds {} documents, the split is: {}",
                                      count.documents, settings.split.ToString());
  if (settings.split.kind != Kind::kTrainOnly && count.validation == 0) {
    return {Code::kUsage, "no document is left for validation" + had};
  }
  if (settings.split.kind != Kind::kValidationOnly && count.validation == count.documents) {
    return {Code::kUsage, "no document is left for training" + had};
  }
  return {};
}

using Hashes = std::unordered_set<DocumentHash, DocumentHasher>;

// A tokenizer of training documents whose text is not that of a validation document.
Result<std::string> LearnTokenizer(const EncodeSettings& settings, const OutputFlags& output) {
  Hashes validation;
  GOLF_ASSIGN(const Count count, Walk(settings, "split", output, [&](const Document& d) -> Status {
                if (d.validation) validation.insert(d.hash);
                return {};
              }));
  GOLF_TRY(CheckBothSides(settings, count));

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
      if (settings.split.IsValidation(index++, hash) || validation.contains(hash)) continue;
      used_bytes += text.size();
      return true;
    }
    return false;
  };
  return TrainTokenizer(*settings.train_tokenizer, next);
}

// Writes one side after the other, validation first: a training document that the model sees as one of these is left out.
class Encoder {
 public:
  Encoder(const EncodeSettings& settings, const Tokenizer& tokenizer, const OutputFlags& output)
      : settings_(settings), tokenizer_(tokenizer), output_(output) {}

  // Returns what there was on both sides.
  Result<Count> WriteSide(bool validation, SplitWriter& writer) {
    const char* label = validation ? "encode validation" : "encode training";
    GOLF_ASSIGN(const Count count, Walk(settings_, label, output_, [&](Document d) -> Status {
                  if (d.validation != validation) return {};
                  batch_bytes_ += d.text.size();
                  batch_.push_back({std::move(d)});
                  return batch_bytes_ < kBatchBytes ? Status() : WriteBatch(validation, writer);
                }));
    GOLF_TRY(WriteBatch(validation, writer));
    return count;
  }

  uint64_t left_out() const { return left_out_; }
  uint64_t miscounted() const { return miscounted_; }

 private:
  struct Encoded {
    Document document;
    std::vector<uint16_t> tokens = {};
    TextBytes bytes = {};
    DocumentHash seen = {};  // of the decoded tokens: what the model sees of the text
    std::string miscounted = {};
  };

  void Encode(Encoded& d) const {
    d.tokens = tokenizer_.Encode(d.document.text);
    const std::string seen = tokenizer_.Decode(d.tokens);
    d.seen = HashText(seen);
    d.bytes = {.text = d.document.text.size(),
               .seen = seen.size(),
               .counted = tokenizer_.CountBytes(d.tokens)};
    d.miscounted = tokenizer_.WhyMiscounted(d.tokens, seen);
  }

  Status WriteBatch(bool validation, SplitWriter& writer) {
    ParallelTasks(batch_.size(), true, [&](size_t i) { Encode(batch_[i]); });
    for (const Encoded& d : batch_) {
      if (validation) {
        validation_.insert(d.seen);
      } else if (validation_.contains(d.seen)) {
        ++left_out_;
        continue;
      }
      if (!d.miscounted.empty()) GOLF_TRY(Miscounted(d));
      GOLF_TRY(writer.Append(d.tokens, d.document.hash, d.bytes));
    }
    batch_.clear();
    batch_bytes_ = 0;
    return {};
  }

  Status Miscounted(const Encoded& d) {
    const std::string what = fmt::format("document {} (\"{}\"): {}", d.document.index + 1,
                                         Excerpt(d.document.text), d.miscounted);
    if (!settings_.approximate_bytes) {
      return {Code::kBadData,
              what +
                  ". Bits per byte would be wrong; use another tokenizer, or accept "
                  "that with --approximate-bytes"};
    }
    if (miscounted_++ == 0) Warn(what + ". Bits per byte are approximate");
    return {};
  }

  const EncodeSettings& settings_;
  const Tokenizer& tokenizer_;
  const OutputFlags& output_;
  std::vector<Encoded> batch_;
  size_t batch_bytes_ = 0;
  Hashes validation_;  // what the model sees of these
  uint64_t left_out_ = 0, miscounted_ = 0;
};

Result<nlohmann::ordered_json> EncodeInto(const fs::path& folder, const EncodeSettings& settings,
                                          const OutputFlags& output) {
  std::optional<Tokenizer> tokenizer;
  if (settings.train_tokenizer) {
    GOLF_ASSIGN(std::string model, LearnTokenizer(settings, output));
    GOLF_ASSIGN(tokenizer, Tokenizer::FromModel(std::move(model), "the trained tokenizer"));
  } else {
    GOLF_ASSIGN(tokenizer, Tokenizer::Load(settings.tokenizer_path));
  }
  GOLF_TRY(WriteFileAtomically((folder / "tokenizer.model").string(), AsBytes(tokenizer->model())));

  const auto create = [&](const char* name) {
    return SplitWriter::Create(folder, settings.prefix, name, settings.shard_tokens,
                               tokenizer->bos());
  };
  Encoder encoder(settings, *tokenizer, output);
  GOLF_ASSIGN(SplitWriter validation, create("val"));
  GOLF_ASSIGN(const Count count, encoder.WriteSide(true, validation));
  GOLF_TRY(CheckBothSides(settings, count));
  GOLF_TRY(validation.Finish());
  GOLF_ASSIGN(SplitWriter train, create("train"));
  if (settings.split.kind != SplitRule::Kind::kValidationOnly)
    GOLF_TRY(encoder.WriteSide(false, train).status());
  if (train.documents() == 0 && encoder.left_out() > 0) {
    return Status(Code::kUsage, fmt::format("all {} training documents are copies of validation "
                                            "documents; none is left for training",
                                            encoder.left_out()));
  }
  GOLF_TRY(train.Finish());

  const nlohmann::ordered_json description = {
      {"format", 1},
      {"prefix", settings.prefix},
      {"tokenizer",
       {{"file", "tokenizer.model"},
        {"sha256", tokenizer->sha256()},
        {"pieces", tokenizer->vocab_size()}}},
      {"split", settings.split.ToString()},
      {"left_out_as_copies_of_validation", encoder.left_out()},
      {"miscounted_documents", encoder.miscounted()},
      {"train", train.Describe()},
      {"val", validation.Describe()},
  };
  GOLF_TRY(WriteFileAtomically((folder / "dataset.json").string(),
                               AsBytes(DumpJson(description, 1) + "\n")));
  return description;
}

// A prefix is the beginning of file names within the folder, and the split stands behind it.
Status CheckPrefix(const std::string& prefix) {
  constexpr size_t kLongest = 200;  // leaves room for "_train_000000.bin.partial"
  const bool readable = IsUtf8(prefix) && std::ranges::none_of(prefix, [](unsigned char c) {
                          return c < ' ' || c == 0x7F || c == '/';
                        });
  if (readable && !prefix.empty() && prefix.size() <= kLongest) return {};
  return {Code::kUsage,
          fmt::format("--prefix \"{}\": expected the beginning of a file name, 1 to {} bytes of "
                      "UTF-8 without '/' and control characters",
                      prefix, kLongest)};
}

}  // namespace

Result<nlohmann::ordered_json> EncodeDataset(const EncodeSettings& settings,
                                             const OutputFlags& output) {
  GOLF_TRY(CheckPrefix(settings.prefix));
  StopRequested();  // from here on a signal lets us clean up
  GOLF_ASSIGN(NewFolder folder, NewFolder::Create(settings.output));
  GOLF_ASSIGN(auto description, EncodeInto(folder.partial(), settings, output));
  GOLF_TRY(folder.Commit());
  return description;
}

Status TrainTokenizerFile(const EncodeSettings& settings, const std::string& path,
                          const OutputFlags& output) {
  GOLF_ASSIGN(AtomicFile file, AtomicFile::Create(path));  // holds the name while it trains
  GOLF_ASSIGN(const std::string model, LearnTokenizer(settings, output));
  GOLF_TRY(file.Write(AsBytes(model)));
  return file.Commit();
}

}  // namespace golf
