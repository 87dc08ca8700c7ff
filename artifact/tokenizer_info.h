// A tokenizer as checkpoints and artifacts carry it: which one, and its byte table.
#pragma once
#include <memory>
#include <string>

#include "artifact/byte_table.h"
#include "kernels/base/status.h"

namespace golf {

namespace schema {
struct Tokenizer;
struct TokenizerT;
}  // namespace schema

struct TokenizerInfo {
  std::string sha256;  // of the model file, 64 hexadecimal digits
  ByteTable byte_table;
  bool operator==(const TokenizerInfo&) const = default;
};

// From a SentencePiece model file.
Result<TokenizerInfo> ReadTokenizerInfo(const std::string& tokenizer_model_path);

// To and from its FlatBuffers table. `table` has passed the verifier; its meaning is checked here.
std::unique_ptr<schema::TokenizerT> PackTokenizerInfo(const TokenizerInfo& info);
Result<TokenizerInfo> UnpackTokenizerInfo(const schema::Tokenizer& table);

}  // namespace golf
