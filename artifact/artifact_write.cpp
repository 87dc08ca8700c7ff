#include "artifact/artifact_write.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "artifact/artifact_layout.h"
#include "artifact/sha256.h"
#include "artifact/stream_coder.h"
#include "kernels/base/check.h"
#include "kernels/threads.h"
#include "schemas/artifact_generated.h"

namespace golf {
namespace {

// A tensor of at least this many elements is compressed on its own: its statistics are its own, its size is known to the
// byte, and streams can be worked on in parallel. Smaller ones share a stream per element width, and so do all scales.
constexpr size_t kOwnStreamElements = 4096;

// Starting threads for less than this costs more than it saves.
constexpr size_t kWorthThreads = 1 << 18;

struct RawStream {
  size_t element_bytes;
  std::vector<uint8_t> decoded, encoded;
};

class StreamAssignment {
 public:
  size_t AddData(const EncodedTensor& tensor) {
    const size_t width = tensor.encoding.element_bytes();
    return Append(
        tensor.data.size() / width < kOwnStreamElements ? Shared(small_, width) : New(width),
        tensor.data);
  }

  size_t AddScales(const EncodedTensor& tensor) {
    return Append(Shared(scales_, tensor.encoding.scale_bytes()), tensor.scales);
  }

  std::vector<RawStream> Encode(int level, StreamCache* cache) && {
    std::vector<Sha256Digest> keys(streams_.size());
    ParallelTasks(streams_.size(), total_bytes_ >= kWorthThreads, [&](size_t i) {
      RawStream& stream = streams_[i];
      if (cache != nullptr) {
        keys[i] = KeyOf(stream, level);
        if (const auto known = cache->find(keys[i]); known != cache->end()) {
          stream.encoded = known->second;
          return;
        }
      }
      stream.encoded = EncodeStream(stream.decoded, stream.element_bytes, level);
    });
    if (cache != nullptr) {
      for (size_t i = 0; i < streams_.size(); ++i) cache->emplace(keys[i], streams_[i].encoded);
    }
    return std::move(streams_);
  }

 private:
  using ByWidth = std::map<size_t, size_t>;

  static Sha256Digest KeyOf(const RawStream& stream, int level) {
    Sha256 digest;
    const std::array<uint8_t, 2> settings = {static_cast<uint8_t>(level),
                                             static_cast<uint8_t>(stream.element_bytes)};
    digest.Update(settings);
    digest.Update(stream.decoded);
    return digest.Finish();
  }

  size_t New(size_t width) {
    streams_.push_back({width, {}, {}});
    return streams_.size() - 1;
  }

  size_t Shared(ByWidth& shared, size_t width) {
    const auto [at, is_new] = shared.try_emplace(width, streams_.size());
    if (is_new) New(width);
    return at->second;
  }

  size_t Append(size_t stream, const std::vector<uint8_t>& bytes) {
    std::vector<uint8_t>& to = streams_[stream].decoded;
    to.insert(to.end(), bytes.begin(), bytes.end());
    total_bytes_ += bytes.size();
    return stream;
  }

  std::vector<RawStream> streams_;
  ByWidth small_, scales_;
  size_t total_bytes_ = 0;
};

std::unique_ptr<schema::EncodingT> Describe(const Encoding& encoding) {
  auto table = std::make_unique<schema::EncodingT>();
  table->storage = static_cast<schema::Storage>(encoding.storage);
  if (encoding.storage != Storage::kCodes) return table;
  table->lowest = encoding.lowest;
  table->highest = encoding.highest;
  table->scale_type = static_cast<schema::ScaleType>(encoding.scale_type);
  table->scale_axis = static_cast<schema::ScaleAxis>(encoding.scale_axis);
  return table;
}

// The index of an encoding in the list, which grows by those that are new.
uint16_t IndexOf(const Encoding& encoding, std::vector<Encoding>& known, schema::ArtifactT& root) {
  const auto at = std::find(known.begin(), known.end(), encoding);
  const auto index = static_cast<uint16_t>(at - known.begin());
  if (at == known.end()) {
    known.push_back(encoding);
    root.encodings.push_back(Describe(encoding));
  }
  return index;
}

std::unique_ptr<schema::ProvenanceT> Describe(const Provenance& provenance) {
  auto table = std::make_unique<schema::ProvenanceT>();
  table->producer = provenance.producer;
  table->packing = provenance.packing;
  table->weights = provenance.weights;
  table->step = provenance.step;
  table->training_shards = PackShards(provenance.training_shards);
  table->calibration_shards = PackShards(provenance.calibration_shards);
  return table;
}

std::unique_ptr<schema::StreamT> Describe(const RawStream& stream) {
  auto table = std::make_unique<schema::StreamT>();
  table->coder_version = kStreamCoderVersion;
  table->element_bytes = static_cast<uint8_t>(stream.element_bytes);
  table->encoded_bytes = static_cast<uint32_t>(stream.encoded.size());
  return table;
}

// Header, description, streams, hash.
std::vector<uint8_t> Assemble(const ArtifactHeader& header, std::span<const uint8_t> description,
                              std::span<const RawStream> streams) {
  size_t content_bytes = sizeof(header) + description.size();
  for (const RawStream& stream : streams) content_bytes += stream.encoded.size();
  std::vector<uint8_t> file(content_bytes + kContentHashBytes);
  std::memcpy(file.data(), &header, sizeof(header));
  auto at = std::copy(description.begin(), description.end(), file.begin() + sizeof(header));
  for (const RawStream& stream : streams)
    at = std::copy(stream.encoded.begin(), stream.encoded.end(), at);
  const Sha256Digest digest = Sha256::Of(std::span(file).first(content_bytes));
  std::copy(digest.begin(), digest.end(), at);
  return file;
}

}  // namespace

std::vector<uint8_t> SerialiseArtifact(const ArtifactContents& contents, int level,
                                       StreamCache* cache) {
  schema::ArtifactT root;
  root.program.assign(contents.program.begin(), contents.program.end());
  root.tokenizer = PackTokenizerInfo(contents.tokenizer);
  root.provenance = Describe(contents.provenance);

  StreamAssignment assignment;
  std::vector<Encoding> encodings;
  for (const EncodedTensor& tensor : contents.tensors) {
    auto table = std::make_unique<schema::TensorT>();
    table->name = tensor.name;
    table->shape = tensor.shape;
    table->encoding = IndexOf(tensor.encoding, encodings, root);
    table->data_stream = static_cast<uint16_t>(assignment.AddData(tensor));
    if (tensor.encoding.storage == Storage::kCodes) {
      table->scale_stream = static_cast<uint16_t>(assignment.AddScales(tensor));
    }
    root.tensors.push_back(std::move(table));
  }
  const std::vector<RawStream> streams = std::move(assignment).Encode(level, cache);
  GOLF_CHECK(contents.tensors.size() <= kMaxTensors && streams.size() <= kMaxStreams &&
             encodings.size() <= kMaxEncodings);
  for (const RawStream& stream : streams) root.streams.push_back(Describe(stream));

  flatbuffers::FlatBufferBuilder builder(1 << 16);
  schema::FinishArtifactBuffer(builder, schema::Artifact::Pack(builder, &root));
  const std::vector<uint8_t> description =
      EncodeStream({builder.GetBufferPointer(), builder.GetSize()}, 1, level);

  ArtifactHeader header;
  header.description_encoded_bytes = static_cast<uint32_t>(description.size());
  header.description_decoded_bytes = builder.GetSize();
  return Assemble(header, description, streams);
}

}  // namespace golf
