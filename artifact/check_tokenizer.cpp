#include "artifact/check_tokenizer.h"

namespace golf {

Status CheckTokenizer(const TokenizerInfo& carried, const TokenizerInfo& model,
                      const std::string& model_path) {
  const auto differs = [&](const std::string& how) {
    return Status{Code::kBadData, "the byte table is not that of " + model_path + ": " + how};
  };
  const ByteTable &mine = carried.byte_table, &theirs = model.byte_table;
  if (mine.size() != theirs.size()) {
    return differs("it has " + std::to_string(mine.size()) + " pieces, the model " +
                   std::to_string(theirs.size()));
  }
  for (size_t i = 0; i < mine.size(); ++i) {
    if (mine.bytes[i] != theirs.bytes[i]) {
      return differs("piece " + std::to_string(i) + " counts " + std::to_string(mine.bytes[i]) +
                     " bytes, expected " + std::to_string(theirs.bytes[i]));
    }
    if (mine.leading_space[i] != theirs.leading_space[i] || mine.boundary[i] != theirs.boundary[i])
      return differs("piece " + std::to_string(i) + " has other marks of spaces or boundaries");
  }
  if (!(mine == theirs)) return differs("its entries differ");
  if (carried.sha256 != model.sha256) {
    return differs("it names the model with the SHA-256 " + carried.sha256 + ", and this one has " +
                   model.sha256);
  }
  return {};
}

Status CheckTokenizerFile(const TokenizerInfo& carried, const std::string& carrier,
                          const std::string& model_path) {
  if (model_path.empty()) return {};
  GOLF_ASSIGN(const TokenizerInfo model, ReadTokenizerInfo(model_path));
  const Status same = CheckTokenizer(carried, model, model_path);
  return same.ok() ? same : Status{same.code(), carrier + ": " + same.message()};
}

const char* ByteTableState(bool tokenizer_checked) {
  return tokenizer_checked ? "checked against the tokenizer" : "not checked against a tokenizer";
}

}  // namespace golf
