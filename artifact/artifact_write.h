// Writing artifacts. The same contents, level and zstd library give the same bytes.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "artifact/artifact.h"
#include "artifact/encoding.h"
#include "artifact/tokenizer_info.h"

namespace golf {

struct ArtifactContents {
  std::span<const uint8_t> program;  // a serialised schema::Program
  TokenizerInfo tokenizer;
  Provenance provenance;
  std::span<const EncodedTensor> tensors;
};

// The whole file. level: of zstd, 1 to MaxStreamLevel() (stream_coder.h). Streams are compressed in parallel.
std::vector<uint8_t> SerialiseArtifact(const ArtifactContents& contents, int level);

}  // namespace golf
