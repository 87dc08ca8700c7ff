// Writing artifacts. The same contents, level and zstd library give the same bytes.
#pragma once
#include <array>
#include <cstdint>
#include <map>
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

// Streams that were compressed before, by a digest of content and level. Packing again after a small change then costs no
// more than that change.
using StreamCache = std::map<std::array<uint8_t, 32>, std::vector<uint8_t>>;

// The whole file. level: of zstd, 1 to MaxStreamLevel() (stream_coder.h). Streams are compressed in parallel.
// A cache changes nothing but the time.
std::vector<uint8_t> SerialiseArtifact(const ArtifactContents& contents, int level,
                                       StreamCache* cache = nullptr);

}  // namespace golf
