#include "artifact/artifact_write.h"

#include <map>

#include "artifact/artifact_layout.h"
#include "artifact/sha256.h"
#include "artifact/stream_coder.h"
#include "kernels/base/check.h"
#include "schemas/artifact_generated.h"

namespace golf {
namespace {

// A tensor of at least this many elements is compressed on its own: its statistics are its own, its size is known to the
// byte, and streams can be worked on in parallel. Smaller ones share a stream per element width, and so do all scales.
constexpr size_t kOwnStreamElements = 4096;

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

  std::vector<RawStream> Encode(int level) && {
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < streams_.size(); ++i) {
      streams_[i].encoded = EncodeStream(streams_[i].decoded, streams_[i].element_bytes, level);
    }
    return std::move(streams_);
  }

 private:
  using ByWidth = std::map<size_t, size_t>;

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
    return stream;
  }

  std::vector<RawStream> streams_;
  ByWidth small_, scales_;
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

void Append(std::vector<uint8_t>& file, std::span<const uint8_t> bytes) {
  file.insert(file.end(), bytes.begin(), bytes.end());
}

}  // namespace

std::vector<uint8_t> SerialiseArtifact(const ArtifactContents& contents, int level) {
  schema::ArtifactT root;
  root.program.assign(contents.program.begin(), contents.program.end());
  root.tokenizer = PackTokenizerInfo(contents.tokenizer);
  root.provenance = std::make_unique<schema::ProvenanceT>();
  root.provenance->producer = contents.provenance.producer;
  root.provenance->packing = contents.provenance.packing;
  root.provenance->weights = contents.provenance.weights;
  root.provenance->step = contents.provenance.step;

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
  const std::vector<RawStream> streams = std::move(assignment).Encode(level);
  GOLF_CHECK(contents.tensors.size() <= kMaxTensors && streams.size() <= kMaxStreams &&
             encodings.size() <= kMaxEncodings);
  for (const RawStream& stream : streams) {
    auto table = std::make_unique<schema::StreamT>();
    table->element_bytes = static_cast<uint8_t>(stream.element_bytes);
    table->encoded_bytes = static_cast<uint32_t>(stream.encoded.size());
    root.streams.push_back(std::move(table));
  }

  flatbuffers::FlatBufferBuilder builder(1 << 16);
  schema::FinishArtifactBuffer(builder, schema::Artifact::Pack(builder, &root));
  const std::vector<uint8_t> description =
      EncodeStream({builder.GetBufferPointer(), builder.GetSize()}, 1, level);

  ArtifactHeader header;
  header.description_encoded_bytes = static_cast<uint32_t>(description.size());
  header.description_decoded_bytes = builder.GetSize();
  std::vector<uint8_t> file;
  Append(file, {reinterpret_cast<const uint8_t*>(&header), sizeof(header)});
  Append(file, description);
  for (const RawStream& stream : streams) Append(file, stream.encoded);
  Append(file, Sha256::Of(file));
  return file;
}

}  // namespace golf
