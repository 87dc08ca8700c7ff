// SentencePiece, behind the few calls that golf-data needs. Nothing else in the project links it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/byte_table.h"
#include "kernels/base/status.h"

namespace golf {

// A SentencePiece model and what scoring takes from it. Safe to use from several threads.
class Tokenizer {
 public:
  // kIo or kBadData. A model must have a BOS and at most 65,536 pieces, for that is what shards can hold.
  static Result<Tokenizer> Load(const std::string& model_path);
  // Of the bytes of a model file; `name` stands in messages.
  static Result<Tokenizer> FromModel(std::string model, const std::string& name);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Without BOS.
  std::vector<uint16_t> Encode(const std::string& text) const;
  // The text that the model sees: as it was normalised, without the space that the model itself put before or after it.
  // A space mark is a space, even one that is spelled in bytes; an unknown piece is " \u2047 ".
  std::string Decode(std::span<const uint16_t> tokens) const;

  // What the byte table counts for the tokens of a document, after its BOS.
  uint64_t CountBytes(std::span<const uint16_t> tokens) const;
  // Why CountBytes() is not the size of `decoded`, the text of these tokens; empty if it is.
  std::string WhyMiscounted(std::span<const uint16_t> tokens, std::string_view decoded) const;

  uint16_t bos() const { return bos_; }
  size_t vocab_size() const { return byte_table_.size(); }
  const ByteTable& byte_table() const { return byte_table_; }
  const std::string& model() const { return model_; }  // the bytes of the model file
  std::string sha256() const;                          // of the model file

 private:
  struct Processor;
  enum class AddedSpace { kNone, kBefore, kAfter };  // around each text, where decoding leaves it
  Tokenizer();
  Status ReadSpaceRules(const std::string& name);
  void MakeTexts();

  std::unique_ptr<Processor> processor_;
  std::string model_;
  ByteTable byte_table_;
  std::vector<std::string> texts_;      // of each piece
  bool drops_first_mark_ = false;       // decoding drops one in front of a text,
  bool drops_all_first_marks_ = false;  // or as many as there are, one of each piece
  bool denormalizes_ = false;           // changes texts when it decodes them
  AddedSpace added_space_ = AddedSpace::kNone;
  uint16_t bos_ = 0;
};

struct TokenizerSettings {
  size_t vocab_size = 1024;
  // "nmt_nfkc", as the challenge's models: runs of white space become one space, compatibility characters are unified.
  // "identity": the text stays as it is, so that decoding gives every byte back.
  std::string normalization = "nmt_nfkc";
};

// Trains BPE with byte fallback, digits apart, character coverage 0.999, no space put before a text; ids: 0 pad, 1 BOS,
// 2 EOS, 3 unknown, then the 256 bytes. `next` gives one text after the other and false at the end; all are held in
// memory. Returns the bytes of the model file; the same texts give the same bytes.
Result<std::string> TrainTokenizer(const TokenizerSettings& settings,
                                   const std::function<Result<bool>(std::string&)>& next);

}  // namespace golf
