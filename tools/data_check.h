// What is in token shards, and whether they are what training and scoring rely on.
//
// Checked: header and size; each shard has a BOS and each split begins with one; ids below the vocabulary; no document of
// the validation split in the training split (by its token ids, and by the hashes of *.docs where they lie beside the
// shards); the digests in dataset.json, if it lies there; that the bytes counted are the bytes of the decoded text; and,
// with the documents at hand, that the shards hold exactly those documents and which of them decode to their exact text.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "tools/cli.h"
#include "tools/data_documents.h"

namespace golf {

struct CheckSettings {
  // Files, folders or globs; names tell the splits apart (SplitOfName).
  std::vector<std::string> shards = {};
  // Empty: tokenizer.model beside the first shard, if it is there.
  std::string tokenizer_path = {};
  std::optional<DocumentSource> documents = {};
  bool compare = true;      // false: only look at each shard by itself
  bool exact_text = false;  // a document that does not decode to its exact text is a problem
};

struct CheckReport {
  nlohmann::ordered_json
      facts;  // per shard and per split: tokens, documents, bytes; comparisons made
  std::vector<std::string> problems;  // one sentence each; empty: all is well
};

// Fails only when it cannot look (kIo, kUsage, a broken tokenizer); what is wrong with the shards is in `problems`.
Result<CheckReport> CheckShards(const CheckSettings& settings, const OutputFlags& output);

}  // namespace golf
