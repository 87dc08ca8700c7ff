#include "tools/data_tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cstdlib>

#include "artifact/file.h"
#include "artifact/sha256.h"
#include "artifact/wire_reader.h"
#include "kernels/base/check.h"

namespace golf {
namespace {

constexpr size_t kMostPieces = 65536;  // ids are uint16
constexpr size_t kMostModelBytes = 1ull << 28;

// SentencePiece's trainer crashes on longer words; a word is what stands between spaces after normalisation.
constexpr size_t kLongestWord = 32768;
constexpr size_t kMostExpansion = 6;  // letters that NFKC makes of one without a space between them

// Feeds the trainer with the texts, cut within words that are too long for it; remembers why the source stopped, since
// SentencePiece has its own status type.
class Texts final : public sentencepiece::SentenceIterator {
 public:
  Texts(const std::function<Result<bool>(std::string&)>& next, bool identity)
      : next_(next),
        spaces_(identity ? " " : " \t\r\n"),
        expansion_(identity ? 1 : kMostExpansion) {
    Next();
  }
  bool done() const override { return done_; }
  void Next() override {
    if (begin_ == document_.size()) {
      const Result<bool> found = next_(document_);
      if (!found.ok()) failure_ = found.status();
      done_ = !found.ok() || !*found;
      if (done_) return;
      begin_ = 0;
    }
    const size_t end = FindCut(std::string_view(document_).substr(begin_)) + begin_;
    part_.assign(document_, begin_, end - begin_);
    begin_ = end;
  }
  const std::string& value() const override { return part_; }
  sentencepiece::util::Status status() const override { return {}; }
  const Status& failure() const { return failure_; }

 private:
  // Where the first word that is too long must end; the text's size if there is none.
  size_t FindCut(std::string_view text) const {
    size_t letters = 0;  // of the word so far, normalised, at most
    for (size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      if ((byte & 0xC0) == 0x80) continue;  // within a character
      letters =
          spaces_.find(text[i]) != spaces_.npos ? 0 : letters + (byte < 0x80 ? 1 : expansion_);
      if (letters > kLongestWord) return i;
    }
    return text.size();
  }

  const std::function<Result<bool>(std::string&)>& next_;
  const std::string_view spaces_;
  const size_t expansion_;
  std::string document_, part_;
  size_t begin_ = 0;  // of what is left of the document
  bool done_ = false;
  Status failure_;
};

void MarksToSpaces(std::string& text) {
  size_t from = text.find(kSpaceMark), to = from;
  if (from == text.npos) return;
  while (from < text.size()) {
    const bool mark = text.compare(from, kSpaceMark.size(), kSpaceMark) == 0;
    text[to++] = mark ? ' ' : text[from];
    from += mark ? kSpaceMark.size() : 1;
  }
  text.resize(to);
}

}  // namespace

struct Tokenizer::Processor : sentencepiece::SentencePieceProcessor {};

Tokenizer::Tokenizer() : processor_(std::make_unique<Processor>()) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::Load(const std::string& model_path) {
  GOLF_ASSIGN(const auto bytes, ReadFile(model_path, kMostModelBytes));
  return FromModel(std::string(bytes.begin(), bytes.end()), model_path);
}

Result<Tokenizer> Tokenizer::FromModel(std::string model, const std::string& name) {
  Tokenizer tokenizer;
  tokenizer.model_ = std::move(model);
  Result<ByteTable> table = ParseByteTable(AsBytes(tokenizer.model_));
  if (!table.ok()) return Status(table.status().code(), name + ": " + table.status().message());
  tokenizer.byte_table_ = std::move(*table);
  GOLF_TRY(tokenizer.ReadSpaceRules(name));
  const auto status = tokenizer.processor_->LoadFromSerializedProto(
      absl::string_view(tokenizer.model_.data(), tokenizer.model_.size()));
  if (!status.ok()) {
    return Status(Code::kBadData,
                  fmt::format("{}: not a SentencePiece model ({})", name, status.ToString()));
  }
  const int bos = tokenizer.processor_->bos_id();
  if (bos < 0) return Status(Code::kBadData, name + ": has no BOS, which must begin each document");
  const auto pieces = static_cast<size_t>(tokenizer.processor_->GetPieceSize());
  if (pieces != tokenizer.vocab_size() || pieces > kMostPieces) {
    return Status(Code::kBadData, fmt::format("{}: {} pieces, a shard can hold ids of {}", name,
                                              pieces, kMostPieces));
  }
  tokenizer.bos_ = static_cast<uint16_t>(bos);
  tokenizer.MakeTexts();
  return tokenizer;
}

// ModelProto: field 2 = trainer_spec (24 = treat_whitespace_as_suffix), 3 = normalizer_spec (3 = add_dummy_prefix,
// 4 = remove_extra_whitespaces, 5 = escape_whitespaces), 5 = denormalizer_spec (2 = precompiled_charsmap).
Status Tokenizer::ReadSpaceRules(const std::string& name) {
  bool suffix = false, adds_space = true, removes_spaces = true, marks_spaces = true;  // defaults
  for (WireReader model(AsBytes(model_)); !model.done();) {
    const auto spec = model.Next();
    if (!spec) return {Code::kBadData, name + ": malformed protocol buffer"};
    if (spec->wire_type != 2) continue;
    if (spec->number != 2 && spec->number != 3 && spec->number != 5) continue;
    for (WireReader fields(spec->bytes); !fields.done();) {
      const auto field = fields.Next();
      if (!field) return {Code::kBadData, name + ": malformed protocol buffer"};
      if (spec->number == 5 && field->number == 2) denormalizes_ = !field->bytes.empty();
      if (field->wire_type != 0) continue;
      const bool set = field->value != 0;
      if (spec->number == 2 && field->number == 24) suffix = set;
      if (spec->number == 3 && field->number == 3) adds_space = set;
      if (spec->number == 3 && field->number == 4) removes_spaces = set;
      if (spec->number == 3 && field->number == 5) marks_spaces = set;
    }
  }
  drops_first_mark_ = adds_space || removes_spaces;
  drops_all_first_marks_ = removes_spaces;
  if (adds_space && suffix) {
    added_space_ = AddedSpace::kAfter;
  } else if (adds_space && !marks_spaces) {
    added_space_ = AddedSpace::kBefore;
  }
  return {};
}

void Tokenizer::MakeTexts() {
  for (int id = 0; static_cast<size_t>(id) < vocab_size(); ++id) {
    std::string text = processor_->IdToPiece(id);
    if (processor_->IsControl(id)) {
      text.clear();
    } else if (processor_->IsUnknown(id)) {
      text = " \u2047 ";
    } else if (processor_->IsByte(id)) {  // "<0x0A>"
      text.assign(1, static_cast<char>(std::strtoul(text.substr(1, 4).c_str(), nullptr, 16)));
    } else {
      MarksToSpaces(text);
    }
    texts_.push_back(std::move(text));
  }
}

std::vector<uint16_t> Tokenizer::Encode(const std::string& text) const {
  std::vector<int> ids;
  const auto status = processor_->Encode(text, &ids);
  GOLF_CHECK(status.ok());
  return {ids.begin(), ids.end()};
}

std::string Tokenizer::Decode(std::span<const uint16_t> tokens) const {
  std::string text;
  if (denormalizes_) {
    const auto status = processor_->Decode(std::vector<int>(tokens.begin(), tokens.end()), &text);
    GOLF_CHECK(status.ok());
  } else {
    // As SentencePiece decodes, in a fraction of its time. The marks that it drops in front are those it may have added.
    bool drop = drops_first_mark_;
    for (const uint16_t token : tokens) {
      std::string_view piece = texts_[token];
      if (drop && text.empty() && byte_table_.leading_space[token] != 0) {
        piece.remove_prefix(1);
        drop = drops_all_first_marks_;
      }
      text += piece;
    }
  }
  MarksToSpaces(text);  // those that were spelled in bytes
  if (added_space_ == AddedSpace::kAfter && text.ends_with(' ')) text.pop_back();
  if (added_space_ == AddedSpace::kBefore && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

uint64_t Tokenizer::CountBytes(std::span<const uint16_t> tokens) const {
  uint64_t bytes = 0;
  uint16_t previous = bos_;
  for (const uint16_t token : tokens) {
    bytes += byte_table_.Count(previous, token);
    previous = token;
  }
  return bytes;
}

std::string Tokenizer::WhyMiscounted(std::span<const uint16_t> tokens,
                                     std::string_view decoded) const {
  const int unknown = processor_->unk_id();
  const auto unknowns = std::count(tokens.begin(), tokens.end(), unknown);
  const uint64_t counted = CountBytes(tokens);
  if (unknowns == 0 && counted == decoded.size()) return {};
  std::string reason = fmt::format("its tokens count {} bytes, ", counted);
  if (unknowns > 0)
    return reason + fmt::format("{} of them unknown pieces, which count none", unknowns);
  reason += fmt::format("its text has {}: ", decoded.size());
  if (added_space_ != AddedSpace::kNone) return reason + "the tokenizer adds a space to each text";
  if (processor_->PieceToId(absl::string_view(kSpaceMark.data(), kSpaceMark.size())) == unknown)
    return reason + "the tokenizer has no piece for a space and spells it in 3 bytes";
  return reason + "the tokenizer decodes spaces in another way than they are counted";
}

std::string Tokenizer::sha256() const { return ToHex(Sha256::Of(AsBytes(model_))); }

Result<std::string> TrainTokenizer(const TokenizerSettings& settings,
                                   const std::function<Result<bool>(std::string&)>& next) {
  const bool identity = settings.normalization == "identity";
  Texts texts(next, identity);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      {
          {"model_type", "bpe"},
          {"vocab_size", std::to_string(settings.vocab_size)},
          {"byte_fallback", "true"},
          {"split_digits", "true"},
          {"character_coverage", "0.999"},
          {"normalization_rule_name", settings.normalization},
          {"remove_extra_whitespaces", identity ? "false" : "true"},
          {"add_dummy_prefix", "false"},
          {"hard_vocab_limit", "false"},
          {"pad_id", "0"},
          {"bos_id", "1"},
          {"eos_id", "2"},
          {"unk_id", "3"},
          {"max_sentence_length", "1000000000"},  // longer ones would be left out
          {"minloglevel", "2"},
      },
      &texts, &model);
  GOLF_TRY(texts.failure());
  if (!status.ok()) {  // "Internal: file(line) [condition] what it means"
    const std::string why = status.ToString();
    const size_t after = why.rfind("] ");
    return Status(Code::kUsage, "tokenizer training: " +
                                    (after == std::string::npos ? why : why.substr(after + 2)));
  }
  return model;
}

}  // namespace golf
