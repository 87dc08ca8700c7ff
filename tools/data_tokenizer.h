// SentencePiece, behind the few calls that golf-data needs. Nothing else in the project links it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/status.h"

namespace golf {

class Tokenizer {
 public:
  // kIo or kBadData. A model must have a BOS and at most 65,536 pieces, for that is what shards can hold.
  static Result<Tokenizer> Load(const std::string& model_path);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Without BOS. Safe to call from several threads.
  std::vector<uint16_t> Encode(const std::string& text) const;
  std::string Decode(std::span<const uint16_t> tokens) const;
  uint16_t bos() const { return bos_; }
  size_t vocab_size() const { return vocab_size_; }

 private:
  struct Processor;
  Tokenizer();
  std::unique_ptr<Processor> processor_;
  uint16_t bos_ = 0;
  size_t vocab_size_ = 0;
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
