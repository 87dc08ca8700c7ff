// Text -> token shards, in two passes over the files: the first decides which documents are for validation, the second
// encodes. The data set appears under its final name complete or not at all.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "kernels/base/status.h"
#include "tools/cli.h"
#include "tools/data_documents.h"
#include "tools/data_split.h"
#include "tools/data_tokenizer.h"

namespace golf {

struct EncodeSettings {
  DocumentSource source;
  SplitRule split;
  std::string tokenizer_path;                        // an existing model, or
  std::optional<TokenizerSettings> train_tokenizer;  // train one on the training documents
  // Bytes of training text that its training may use, from the start.
  uint64_t tokenizer_bytes = 200'000'000;
  std::string output;  // folder: must not exist, or be empty
  std::string prefix = "golf";
  uint64_t shard_tokens = 100'000'000;
  // Take documents whose bytes the tokenizer's byte table does not count exactly; dataset.json says how many. Without it
  // one such document is an error.
  bool approximate_bytes = false;
};

// Writes shards, *.docs, tokenizer.model and dataset.json; returns what dataset.json holds.
Result<nlohmann::ordered_json> EncodeDataset(const EncodeSettings& settings,
                                             const OutputFlags& output);

// Trains a tokenizer on the source's first `max_bytes` bytes of documents that are for training and writes it to `path`.
Status TrainTokenizerFile(const EncodeSettings& settings, const std::string& path,
                          const OutputFlags& output);

}  // namespace golf
