// Artifacts that somebody forged: right in every hash and checksum, wrong in one place or a few.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace golf::test {

struct ForgedArtifact {
  std::string what;  // the kind of forgery, with its number
  std::vector<uint8_t> file;
};

// An artifact that is not forged: a network of 8 pieces and windows of 16 tokens.
std::vector<uint8_t> HonestArtifact();

// An artifact of 2 MB with tensors that its network does not have, which take 600 MB once they are decoded.
std::vector<uint8_t> BombArtifact();

// `count` forgeries of it, the same ones on every machine and in every build. Some can still be run: a forged attribute may be
// a legal one.
std::vector<ForgedArtifact> ForgeArtifacts(size_t count);

}  // namespace golf::test
