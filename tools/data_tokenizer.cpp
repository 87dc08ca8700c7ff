#include "tools/data_tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include "artifact/file.h"
#include "kernels/base/check.h"

namespace golf {
namespace {

constexpr size_t kMostPieces = 65536;  // ids are uint16
constexpr size_t kMostModelBytes = 1ull << 28;

// Feeds the trainer; remembers why the source stopped, since SentencePiece has its own status type.
class Texts final : public sentencepiece::SentenceIterator {
 public:
  explicit Texts(const std::function<Result<bool>(std::string&)>& next) : next_(next) { Next(); }
  bool done() const override { return done_; }
  void Next() override {
    const Result<bool> found = next_(text_);
    if (!found.ok()) failure_ = found.status();
    done_ = !found.ok() || !*found;
  }
  const std::string& value() const override { return text_; }
  sentencepiece::util::Status status() const override { return {}; }
  const Status& failure() const { return failure_; }

 private:
  const std::function<Result<bool>(std::string&)>& next_;
  std::string text_;
  bool done_ = false;
  Status failure_;
};

}  // namespace

struct Tokenizer::Processor : sentencepiece::SentencePieceProcessor {};

Tokenizer::Tokenizer() : processor_(std::make_unique<Processor>()) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::Load(const std::string& model_path) {
  GOLF_ASSIGN(const auto bytes, ReadFile(model_path, kMostModelBytes));
  Tokenizer tokenizer;
  const auto status = tokenizer.processor_->LoadFromSerializedProto(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (!status.ok()) {
    return Status(Code::kBadData,
                  fmt::format("{}: not a SentencePiece model ({})", model_path, status.ToString()));
  }
  const int pieces = tokenizer.processor_->GetPieceSize(), bos = tokenizer.processor_->bos_id();
  if (bos < 0)
    return Status(Code::kBadData, model_path + ": has no BOS, which must begin each document");
  if (pieces < 1 || static_cast<size_t>(pieces) > kMostPieces) {
    return Status(Code::kBadData, fmt::format("{}: {} pieces, a shard can hold ids of {}",
                                              model_path, pieces, kMostPieces));
  }
  tokenizer.bos_ = static_cast<uint16_t>(bos);
  tokenizer.vocab_size_ = static_cast<size_t>(pieces);
  return tokenizer;
}

std::vector<uint16_t> Tokenizer::Encode(const std::string& text) const {
  std::vector<int> ids;
  const auto status = processor_->Encode(text, &ids);
  GOLF_CHECK(status.ok());
  return {ids.begin(), ids.end()};
}

std::string Tokenizer::Decode(std::span<const uint16_t> tokens) const {
  std::string text;
  const auto status = processor_->Decode(std::vector<int>(tokens.begin(), tokens.end()), &text);
  GOLF_CHECK(status.ok());
  return text;
}

Result<std::string> TrainTokenizer(const TokenizerSettings& settings,
                                   const std::function<Result<bool>(std::string&)>& next) {
  const bool identity = settings.normalization == "identity";
  Texts texts(next);
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
