// What a file is, told by its first bytes. Readers call NotA when a file is not theirs, so that a
// file of another kind is named as what it is, with what to do about it.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "kernels/base/status.h"

namespace golf {

constexpr int32_t kTokenShardMagic = 20240520;  // the first word of a shard

enum class FileKind {
  kUnknown,
  kEmpty,
  // golf's own
  kArtifact,
  kCheckpoint,  // or Hessians, which have the same container
  kTokenShard,
  kTokenizer,  // a SentencePiece model
  // Weights
  kSafetensors,
  kSafetensorsIndex,  // names the files of a model in several
  kTorchZip,
  kPickle,  // PyTorch's older files among them
  kGguf,
  kNumpy,
  kNumpyZip,
  kHdf5,
  // Wrappings, and what a download left
  kGitLfsPointer,
  kGzip,
  kZstd,
  kXz,
  kBzip2,
  kZip,
  kParquet,
  kHtml,
  // Texts
  kJson,
  kText,
};

// `beginning`: the file, or its first 64 KiB or more.
FileKind KindOf(std::span<const uint8_t> beginning);

// Of a file that should hold weights to train on, evaluate or pack: kCheckpoint or kSafetensors. kBadData names any other
// kind.
Result<FileKind> KindOfWeights(const std::string& path);

// kBadData "not WANTED but a checkpoint of golf-train; golf-pack makes an artifact of it". For a
// file of unknown kind: "not WANTED". `wanted` has an article.
Status NotA(const std::string& wanted, std::span<const uint8_t> beginning);

}  // namespace golf
