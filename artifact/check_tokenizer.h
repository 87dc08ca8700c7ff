// Whether a byte table, the denominator of bits per byte, is that of a tokenizer's model.
#pragma once
#include <string>

#include "artifact/tokenizer_info.h"
#include "kernels/base/status.h"

namespace golf {

// Ok if `carried` has the model's hash and every entry of its byte table; kBadData names the first difference.
Status CheckTokenizer(const TokenizerInfo& carried, const TokenizerInfo& model,
                      const std::string& model_path);
// The same of the model in a file, for what `carrier` carries; ok where no path is given.
Status CheckTokenizerFile(const TokenizerInfo& carried, const std::string& carrier,
                          const std::string& model_path);
// For reports: "checked against the tokenizer" or "not checked against a tokenizer".
const char* ByteTableState(bool tokenizer_checked);

}  // namespace golf
