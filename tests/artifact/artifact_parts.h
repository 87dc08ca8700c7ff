// An artifact in parts that can be tampered with, and put together again as an attacker would.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "artifact/artifact_layout.h"
#include "artifact/sha256.h"
#include "artifact/stream_coder.h"
#include "schemas/artifact_generated.h"

namespace golf::test {

using Bytes = std::vector<uint8_t>;

// Gives a tampered file a content hash that fits, as an attacker would.
inline Bytes Rehash(Bytes file) {
  file.resize(file.size() - kContentHashBytes);
  const Sha256Digest digest = Sha256::Of(file);
  file.insert(file.end(), digest.begin(), digest.end());
  return file;
}

struct Parts {
  schema::ArtifactT root;
  std::vector<Bytes> streams;
  Bytes appended;
};

inline Parts TakeApart(const Bytes& file) {
  ArtifactHeader header;
  std::memcpy(&header, file.data(), sizeof(header));
  const std::span<const uint8_t> rest = std::span(file).subspan(sizeof(header));
  const auto description = DecodeStream(rest.first(header.description_encoded_bytes), 1,
                                        header.description_decoded_bytes);
  EXPECT_TRUE(description.ok());
  Parts parts;
  schema::GetArtifact(description->data())->UnPackTo(&parts.root);
  size_t at = header.description_encoded_bytes;
  for (const auto& stream : parts.root.streams) {
    const auto bytes = rest.subspan(at, stream->encoded_bytes);
    parts.streams.emplace_back(bytes.begin(), bytes.end());
    at += bytes.size();
  }
  return parts;
}

inline Bytes PutTogether(const Parts& parts) {
  flatbuffers::FlatBufferBuilder builder;
  schema::FinishArtifactBuffer(builder, schema::Artifact::Pack(builder, &parts.root));
  const Bytes description = EncodeStream({builder.GetBufferPointer(), builder.GetSize()}, 1, 3);
  ArtifactHeader header;
  header.description_encoded_bytes = static_cast<uint32_t>(description.size());
  header.description_decoded_bytes = builder.GetSize();
  const auto* raw = reinterpret_cast<const uint8_t*>(&header);
  Bytes file(raw, raw + sizeof(header));
  file.insert(file.end(), description.begin(), description.end());
  for (const Bytes& s : parts.streams) file.insert(file.end(), s.begin(), s.end());
  file.insert(file.end(), parts.appended.begin(), parts.appended.end());
  file.resize(file.size() + kContentHashBytes);
  return Rehash(file);
}

// Replaces a stream by a frame, with the size in the description that belongs to it.
inline void SetStream(Parts& parts, size_t i, Bytes frame) {
  parts.root.streams[i]->encoded_bytes = static_cast<uint32_t>(frame.size());
  parts.streams[i] = std::move(frame);
}

}  // namespace golf::test
