// The tokenizer that a text of token shards was made with, as far as flags and files tell.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "artifact/shard_facts.h"
#include "artifact/tokenizer_info.h"
#include "kernels/base/status.h"

namespace golf {

struct TokenizerSources {
  std::string given;                   // a SentencePiece model; may be empty
  const TokenizerInfo* carried;        // by a checkpoint; may be null, or without pieces
  std::string carrier;                 // the checkpoint's path
  std::span<const ShardFacts> shards;  // tokenizer.model beside the first comes last
  uint32_t vocab_size = 0;             // of the network
};

struct ChosenTokenizer {
  TokenizerInfo info;   // without pieces: there is none
  std::string path;     // the file that it came from
  std::string note;     // what was taken without being asked for; may be empty
  std::string warning;  // on files beside the shards: one not taken, bytes not exact; may be empty
};

// The given one, else the carried, else tokenizer.model beside the first shard. kUsage if the first two differ, or have
// another number of pieces than the network; kBadData if a dataset.json beside the shards names another tokenizer.
Result<ChosenTokenizer> ChooseTokenizer(const TokenizerSources& sources);

}  // namespace golf
