#include "artifact/artifact.h"

#include <algorithm>
#include <cstring>

#include "artifact/artifact_layout.h"
#include "artifact/file.h"
#include "artifact/file_kind.h"
#include "artifact/sha256.h"
#include "artifact/stream_coder.h"
#include "kernels/threads.h"

namespace golf {
namespace {

// Starting threads for less than this costs more than it saves.
constexpr uint64_t kWorthThreads = 1 << 20;

Status Bad(const std::string& why) { return {Code::kBadData, why}; }

// The bytes between header and hash, after both were checked.
struct Body {
  ArtifactHeader header;
  std::span<const uint8_t> description, streams;
  std::string file_sha256;
};

Result<Body> OpenEnvelope(std::span<const uint8_t> bytes) {
  Body body;
  if (KindOf(bytes) != FileKind::kArtifact) return NotA("an artifact", bytes);
  if (bytes.size() < sizeof(body.header) + kContentHashBytes)
    return Bad("not an artifact: too short");
  std::memcpy(&body.header, bytes.data(), sizeof(body.header));
  if (body.header.version != ArtifactHeader().version) {
    return Bad("artifact version " + std::to_string(body.header.version) + ", expected " +
               std::to_string(ArtifactHeader().version) + "; use a newer golf");
  }
  const auto content = bytes.first(bytes.size() - kContentHashBytes);
  Sha256 content_hash;
  content_hash.Update(content);
  Sha256 file_hash = content_hash;
  const Sha256Digest digest = content_hash.Finish();
  if (!std::equal(digest.begin(), digest.end(), bytes.end() - kContentHashBytes)) {
    return Bad("the content hash is wrong; the file is damaged or incomplete");
  }
  file_hash.Update(digest);
  body.file_sha256 = ToHex(file_hash.Finish());
  const auto rest = content.subspan(sizeof(body.header));
  if (body.header.description_encoded_bytes > rest.size())
    return Bad("the description is longer than the file");
  if (body.header.description_decoded_bytes > kMaxDescriptionBytes)
    return Bad("the description is absurdly large");
  body.description = rest.first(body.header.description_encoded_bytes);
  body.streams = rest.subspan(body.header.description_encoded_bytes);
  return body;
}

}  // namespace

Result<Artifact> Artifact::Read(const std::string& path, const DescriptionCheck& check) {
  GOLF_ASSIGN(std::vector<uint8_t> bytes, ReadFile(path, kMaxArtifactBytes));
  Result<Artifact> artifact = Parse(std::move(bytes), check);
  if (!artifact.ok())
    return Status{artifact.status().code(), path + ": " + artifact.status().message()};
  return artifact;
}

Result<Artifact> Artifact::Parse(std::vector<uint8_t> bytes, const DescriptionCheck& check) {
  GOLF_ASSIGN(const Body body, OpenEnvelope(bytes));
  Artifact artifact;
  artifact.file_bytes_ = bytes.size();
  artifact.description_bytes_ = body.description.size();
  artifact.sha256_ = body.file_sha256;
  artifact.content_hash_ = ToHex(std::span<const uint8_t>(bytes).last(kContentHashBytes));
  Result<std::vector<uint8_t>> description =
      DecodeStream(body.description, 1, body.header.description_decoded_bytes);
  if (!description.ok()) return Bad("description: " + description.status().message());
  GOLF_TRY(artifact.ReadDescription(*description));
  if (check) GOLF_TRY(check(artifact));
  GOLF_TRY(artifact.ReadStreams(body.streams));
  artifact.DequantiseAll();
  return artifact;
}

Status Artifact::ReadStreams(std::span<const uint8_t> bytes) {
  std::vector<std::span<const uint8_t>> encoded;
  for (const ArtifactStream& stream : streams_) {
    if (stream.encoded_bytes > bytes.size()) return Bad("the streams are longer than the file");
    encoded.push_back(bytes.first(stream.encoded_bytes));
    bytes = bytes.subspan(stream.encoded_bytes);
  }
  if (!bytes.empty()) return Bad(std::to_string(bytes.size()) + " bytes belong to no stream");

  std::vector<std::vector<uint8_t>> decoded(streams_.size());
  std::vector<Status> results(streams_.size());
  ParallelTasks(streams_.size(), file_bytes_ >= kWorthThreads, [&](size_t i) {
    const size_t element_bytes = streams_[i].element_bytes;
    Result<std::vector<uint8_t>> r =
        DecodeStream(encoded[i], element_bytes, streams_[i].element_count * element_bytes);
    if (r.ok()) decoded[i] = std::move(*r);
    results[i] = r.status();
  });
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) return Bad("stream " + std::to_string(i) + ": " + results[i].message());
  }

  // Each stream is handed out in tensor order; that it comes out even follows from how element_count was computed.
  std::vector<size_t> taken(streams_.size());
  const auto take = [&](size_t stream, size_t size) {
    const std::vector<uint8_t>& from = decoded[stream];
    const auto first = from.begin() + static_cast<ptrdiff_t>(taken[stream]);
    taken[stream] += size;
    return std::vector<uint8_t>(first, first + static_cast<ptrdiff_t>(size));
  };
  for (const ArtifactTensor& t : table_) {
    EncodedTensor tensor{t.name,
                         t.shape,
                         t.encoding,
                         take(t.data_stream, t.element_count * t.encoding.element_bytes()),
                         {}};
    if (const size_t scales = t.encoding.scale_count(t.shape); scales > 0) {
      tensor.scales = take(t.scale_stream, scales * t.encoding.scale_bytes());
    }
    GOLF_TRY(CheckEncodedTensor(tensor));
    encoded_.push_back(std::move(tensor));
  }
  return {};
}

void Artifact::DequantiseAll() {
  weights_.resize(encoded_.size());
  ParallelTasks(encoded_.size(), file_bytes_ >= kWorthThreads, [&](size_t i) {
    weights_[i].reset(new float[table_[i].element_count]);
    Dequantise(encoded_[i], {weights_[i].get(), table_[i].element_count});
  });
}

std::vector<TensorView> Artifact::tensors() const {
  std::vector<TensorView> views;
  for (size_t i = 0; i < table_.size(); ++i) {
    views.push_back(
        {table_[i].name, table_[i].shape, {weights_[i].get(), table_[i].element_count}});
  }
  return views;
}

}  // namespace golf
